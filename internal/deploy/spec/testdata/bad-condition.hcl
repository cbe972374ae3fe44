ecr_repositories = { app = { is_immutable = true ? false : true } }
