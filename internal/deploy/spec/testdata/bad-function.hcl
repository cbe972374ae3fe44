ecr_repositories = {
  app = {
    lifecycle_policy_json = jsonencode({ rules = [] })
  }
}
