ecr_repositories = {
  heredoc = {
    lifecycle_policy_json = <<-EOT
      {
        "rules": [{
          "rulePriority": 1,
          "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 0},
          "action": {"type": "expire"}
        }]
      }
    EOT
    repository_policy_json = "{\"Statement\": [{\"Effect\": \"Allow\", \"Principal\": \"$${x}\", \"Action\": \"ecr:*\"}]}"
  }
}
