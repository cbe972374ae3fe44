include "root" {
  path = find_in_parent_folders("root.hcl")
}
inputs = merge(include.root.inputs, {
  ecr_repositories = {}
})
