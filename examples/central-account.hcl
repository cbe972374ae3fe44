# One central account that clusters and builders in other accounts use, in HCL.
stack = "central"

registries = [
  { name = "staging", account = "111111111111", region = "us-east-2" },
  { name = "prod", account = "222222222222", region = "us-east-2" },
]

clusters = [
  { name = "apps", account = "333333333333", region = "us-east-2", repositories = ["team/*"] },
]

defaults = {
  scan_on_push          = true
  pull_organization_ids = ["o-a1b2c3d4e5"]
}

ecr_repositories = {
  "base/debian" = {}

  "team/api" = {
    mutable_tags    = ["dev-*"]
    push_principals = ["arn:aws:iam::444444444444:role/ci"]

    # What staging keeps for a month, production keeps.
    expiration_rules = [{ tag_pattern = "v*", days = 30 }]
    overrides        = { prod = { expiration_rules = [], keep = ["v*"] } }
  }

  # Only in staging, and may be deleted.
  "team/previews" = {
    registries        = ["staging"]
    is_immutable      = false
    expire_all_images = true
    delete_protection = false
  }
}
