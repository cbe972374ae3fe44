ecr_repositories = {}

templates = {
  team = {
    is_immutable = false
  }
}

upstreams = {
  quay = { registry = "quay.io:443" }
}
