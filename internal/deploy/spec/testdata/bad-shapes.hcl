ecr_repositories = ["website", "api"]
registries = { prod = { account = "111111111111", region = "us-east-2" } }
defaults = { lifecycle_policy_json = file("policy.json") }
