stack = "a"
stack = "b"
ecr_repositories = {}
