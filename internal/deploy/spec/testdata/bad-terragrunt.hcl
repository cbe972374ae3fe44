terraform {
  source = local.source
}
inputs = {
  vpc = dependency.vpc.outputs.id
  ecr_repositories = {
    api = {
      additional_pull_account_ids = [local.account, "222222222222"]
      is_imutable                 = true
    }
  }
  stack = "${local.stack}"
}
