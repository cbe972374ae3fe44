variable "names" { type = set(string) }
variable "keep" { default = 5 }

resource "aws_ecr_repository" "this" {
  for_each = toset(var.names)
  name     = each.value
}

resource "aws_ecr_lifecycle_policy" "this" {
  for_each   = toset(var.names)
  repository = aws_ecr_repository.this[each.value].name
  policy     = jsonencode({ rules = [{ rulePriority = 1, selection = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = var.keep }, action = { type = "expire" } }] })
}
