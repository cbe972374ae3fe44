ecr_repositories = {
  app = { keep = ["a", }
}
