stack = var.name
ecr_repositories = {}
