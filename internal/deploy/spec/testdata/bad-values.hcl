stack = 1.10
registries = [{ name = "us", account = 012345678901, region = "us-east-2" }]
ecr_repositories = {
  a1 = { additional_pull_account_ids = [333333333333, "33333333333"] }
  a2 = { is_immutable = "true", expiration_rules = [{ tag_pattern = "pr-*", days = -7 }] }
  a3 = { is_imutable = true }
  a4 = {}
  a4 = {}
  a5 = { is_immutable = yes }
  a6 = { tags = { 5 = "x" } }
}
