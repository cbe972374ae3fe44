ecr_repositories = { app = { keep = [for x in ["a"] : x] } }
