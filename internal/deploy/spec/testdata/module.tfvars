# inputs of a Terraform module, as they are
environment = "production"
vpc_id      = null
subnets     = ["a", "b"]

ecr_repositories = {
  website = {}
  scraper = {
    is_immutable = true
    expiration_rules = [
      {
        tag_pattern = "pr-*"
        days        = 7
      },
      { tag_pattern = "main-*", days = 90 },
    ]
  }
  "team/test" = {
    is_immutable                = false
    expire_all_images           = true
    additional_pull_account_ids = ["012345678901"]
    additional_push_account_ids = null
  }
  legacy = {
    lifecycle_policy_json = <<-EOT
      {"rules": [{"rulePriority": 1,
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 500},
        "action": {"type": "expire"}}]}
    EOT
  }
}
