stack = var.name
ecr_repositories = {
  app = { keep = ["a", }
}
tags = local.tags
