stack = "hcl"
registries = [
  { name = "prod", account = "111111111111", region = "us-east-2" },
]
defaults = { tags = { team = "platform", "cost:center" = "é\u00e9 4711" } }
ecr_repositories = {
  # keys may have a colon, too
  website : { keep = ["v*"], expire_untagged_after_days = "never" },
  api = {
    lifecycle_policy_json = {
      rules = [{
        rulePriority = 1
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 100 }
        action       = { type = "expire" }
      }]
    }
  }
  null-fields = { tags = null, is_immutable = null }
  "quoted/key" = {}
  true = {}
}
lifecycle_tests = [{ image = { age_days = 0.5 }, expect = "kept" }]
plan = { max_expire = 5 }
