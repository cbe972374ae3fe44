ecr_repository = {
  app = {}
}
region = "x"
