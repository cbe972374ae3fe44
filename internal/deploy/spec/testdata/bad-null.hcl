ecr_repositories = null
