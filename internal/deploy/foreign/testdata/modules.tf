module "reader" {
  source  = "terraform-aws-modules/ecr/aws"
  version = "3.2.0"

  for_each        = { api = 5, web = 6 }
  repository_name = "tam/${each.key}"

  repository_read_access_arns        = ["arn:aws:iam::222222222222:root"]
  repository_read_write_access_arns  = ["arn:aws:iam::333333333333:role/ci"]
  repository_lambda_read_access_arns = ["arn:aws:lambda:us-east-1:444444444444:function:f"]

  repository_policy_statements = {
    delete = {
      sid        = "Delete"
      actions    = ["ecr:BatchDeleteImage"]
      principals = [{ type = "AWS", identifiers = ["arn:aws:iam::555555555555:root"] }]
      conditions = [{ test = "Bool", variable = "aws:SecureTransport", values = ["true"] }]
    }
  }

  repository_lifecycle_policy = jsonencode({
    rules = [{
      rulePriority = 1
      selection    = { tagStatus = "tagged", tagPrefixList = ["v"], countType = "imageCountMoreThan", countNumber = each.value }
      action       = { type = "expire" }
    }]
  })

  tags = { team = "web" }
}

module "plain" {
  source                          = "git::https://github.com/terraform-aws-modules/terraform-aws-ecr.git?ref=v2.3.1"
  repository_name                 = "tam/plain"
  repository_image_tag_mutability = "MUTABLE"
  repository_image_scan_on_push   = false
  create_lifecycle_policy         = false
  registry_scan_type              = "ENHANCED"
  create_registry_policy          = true
}

module "labelled" {
  source                     = "cloudposse/ecr/aws"
  version                    = "0.42.1"
  namespace                  = "EG"
  stage                      = "test"
  name                       = "ecr/x"
  attributes                 = ["blue"]
  protected_tags             = ["v", "*-rc"]
  max_image_count            = 100
  principals_readonly_access = ["arn:aws:iam::222222222222:root"]
  principals_push_access     = ["arn:aws:iam::222222222222:root"]
}

module "named" {
  source                           = "registry.terraform.io/cloudposse/ecr/aws"
  context                          = module.this.context
  image_names                      = ["cp/one", "cp/two"]
  time_based_rotation              = true
  max_image_count                  = 30
  principals_full_access           = ["arn:aws:iam::222222222222:role/admin"]
  organizations_readonly_access    = ["o-a1b2c3d4e5"]
  default_lifecycle_rules_settings = { untagged_image_rule = { enabled = false } }
  custom_lifecycle_rules = [{
    selection = { tagStatus = "tagged", tagPrefixList = ["pr-"], countType = "sinceImagePushed", countUnit = "days", countNumber = 7 }
    action    = { type = "expire" }
  }]
}

module "lambda" {
  source           = "cloudposse/ecr/aws"
  image_names      = ["cp/lambda"]
  principals_lambda = ["222222222222"]
}

module "helpers" {
  source                               = "lgallard/ecr/aws"
  name                                 = "lg/helpers"
  lifecycle_keep_latest_n_images       = 20
  lifecycle_expire_untagged_after_days = 5
  lifecycle_tag_prefixes_to_keep       = ["v"]
}

module "template" {
  source                    = "github.com/lgallard/terraform-aws-ecr?ref=2.1.1"
  name                      = "lg/template"
  scan_on_push              = false
  encryption_type           = "KMS"
  image_tag_mutability      = "IMMUTABLE"
  lifecycle_policy_template = "development"
  policy                    = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Principal = "*", Action = "ecr:ListImages" }] })
}

module "guarded" {
  source                    = "lgallard/ecr/aws"
  name                      = "lg/guarded"
  enable_pull_request_rules = true
}

module "panfactum" {
  source = "github.com/Panfactum/stack.git//packages/infrastructure/aws_ecr_repos?ref=main"

  ecr_repositories = {
    website = {}
    scraper = {
      is_immutable      = false
      expire_all_images = true
      expiration_rules  = [{ tag_pattern = "pr-*", days = 7 }, { tag_pattern = "main-*", days = 90 }]
    }
    api = {
      additional_pull_account_ids = ["333333333333"]
      additional_push_account_ids = ["444444444444"]
    }
    legacy = {
      lifecycle_policy_json = "{\"rules\":[]}"
    }
  }
}

module "network" {
  source = "terraform-aws-modules/vpc/aws"
}
