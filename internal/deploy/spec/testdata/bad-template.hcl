ecr_repositories = {
  app = { tags = { a = "x-${b}" } }
}
