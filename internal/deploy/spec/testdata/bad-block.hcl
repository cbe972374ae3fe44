ecr_repositories {
  app = {}
}
stack = 5
