include "root" {
  path = find_in_parent_folders("root.hcl")
}

terraform {
  source = "git::https://example.com/modules.git//ecr?ref=${local.version}"
}

locals {
  version = "v1.2.3"
  team    = read_terragrunt_config("team.hcl").locals.name
}

dependency "kms" {
  config_path = "../kms"
}

inputs = {
  environment = local.team
  kms_key_arn = dependency.kms.outputs.arn
  tags        = merge(local.team, { a = "b" })

  # all of it is written out
  ecr_repositories = {
    website = {}
    scraper = {
      expiration_rules = [{ tag_pattern = "pr-*", days = 7 }]
    }
  }
  ecr_repository = {}
}
