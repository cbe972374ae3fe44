stack      = var.stack
registries = [for r in local.regions : { region = r }]
defaults = {
  tags = merge(local.tags, { team = "web" })
}
ecr_repositories = {
  api = {
    additional_pull_account_ids = [data.aws_caller_identity.current.account_id, "222222222222"]
    keep                        = var.production ? ["v*"] : []
    expiration_rules            = [{ tag_pattern = "${var.prefix}-*", days = 2 * 7 }]
    is_imutable                 = false
    encryption = {
      type          = KMS
      (local.field) = "x"
    }
  }
  "${var.name}" = {}
  web           = { scan_on_push = !true }
}
stack = "again"
locals {
  a = 1
}
resource "aws_ecr_repository" "this" {
  name = "a"
}
