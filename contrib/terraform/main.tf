data "aws_partition" "current" {}

locals {
  # Who may pull, and what pushing needs beyond that. Nobody gets the right to delete
  # images or to change policies.
  pull = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:DescribeImages",
    "ecr:DescribeRepositories",
    "ecr:GetDownloadUrlForLayer",
    "ecr:ListImageReferrers",
    "ecr:ListImages",
  ]
  push = [
    "ecr:CompleteLayerUpload",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
  ]

  lifecycle_policies = {
    for name, r in var.ecr_repositories : name => r.lifecycle_policy_json != null ? r.lifecycle_policy_json : jsonencode({
      rules = concat(
        [{
          rulePriority = 1
          description  = "Remove untagged images after 1 day"
          selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 1 }
          action       = { type = "expire" }
        }],
        [for i, rule in r.expiration_rules : {
          rulePriority = i + 2
          description  = "Remove images tagged ${rule.tag_pattern} after ${rule.days} ${rule.days == 1 ? "day" : "days"}"
          selection    = { tagStatus = "tagged", tagPatternList = [rule.tag_pattern], countType = "sinceImagePushed", countUnit = "days", countNumber = rule.days }
          action       = { type = "expire" }
        }],
        [for on in [r.expire_all_images] : {
          rulePriority = length(r.expiration_rules) + 2
          description  = "Remove all other images after 14 days"
          selection    = { tagStatus = "any", countType = "sinceImagePushed", countUnit = "days", countNumber = 14 }
          action       = { type = "expire" }
        } if on],
      )
    })
  }

  # Who may push may pull.
  pull_accounts = { for name, r in var.ecr_repositories : name => sort(distinct([for id in r.additional_pull_account_ids : id if !contains(r.additional_push_account_ids, id)])) }
  push_accounts = { for name, r in var.ecr_repositories : name => sort(distinct(r.additional_push_account_ids)) }
  shared        = { for name, r in var.ecr_repositories : name => r if length(r.additional_pull_account_ids) + length(r.additional_push_account_ids) > 0 }

  repository_policies = {
    for name, r in local.shared : name => jsonencode({
      Version = "2012-10-17"
      Statement = concat(
        [for ids in [local.pull_accounts[name]] : {
          Sid       = "KontorPull"
          Effect    = "Allow"
          Principal = { AWS = [for id in ids : "arn:${data.aws_partition.current.partition}:iam::${id}:root"] }
          Action    = local.pull
        } if length(ids) > 0],
        [for ids in [local.push_accounts[name]] : {
          Sid       = "KontorPush"
          Effect    = "Allow"
          Principal = { AWS = [for id in ids : "arn:${data.aws_partition.current.partition}:iam::${id}:root"] }
          Action    = sort(concat(local.pull, local.push))
        } if length(ids) > 0],
      )
    })
  }
}

resource "aws_ecr_repository" "this" {
  for_each             = var.ecr_repositories
  name                 = each.key
  image_tag_mutability = each.value.is_immutable ? "IMMUTABLE" : "MUTABLE"
  tags                 = var.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  for_each   = var.ecr_repositories
  repository = aws_ecr_repository.this[each.key].name
  policy     = local.lifecycle_policies[each.key]
}

resource "aws_ecr_repository_policy" "this" {
  for_each   = local.shared
  repository = aws_ecr_repository.this[each.key].name
  policy     = local.repository_policies[each.key]
}
