locals {
  names = ["team/api", "team/web"]
  pull  = ["222222222222", "333333333333"]
  tags  = merge({ team = "web" }, { cost = "42" })
}

data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "pull" {
  statement {
    sid     = "Pull"
    actions = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]

    principals {
      type        = "AWS"
      identifiers = [for id in local.pull : "arn:aws:iam::${id}:root"]
    }
  }

  statement {
    actions = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }

    condition {
      test     = "StringLike"
      variable = "aws:SourceArn"
      values   = ["arn:aws:lambda:*:222222222222:function:*"]
    }
  }
}

data "aws_iam_policy_document" "own" {
  statement {
    actions = ["ecr:*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:aws:iam::${data.aws_caller_identity.current.account_id}:root"]
    }
  }
}

data "aws_ecr_lifecycle_policy_document" "keep" {
  rule {
    priority    = 1
    description = "Keep releases"

    selection {
      tag_status       = "tagged"
      tag_pattern_list = ["v*"]
      count_type       = "imageCountMoreThan"
      count_number     = 20
    }
  }
}

resource "aws_ecr_repository" "this" {
  for_each             = toset(local.names)
  name                 = each.key
  image_tag_mutability = "IMMUTABLE_WITH_EXCLUSION"

  dynamic "image_tag_mutability_exclusion_filter" {
    for_each = ["latest", "dev-*"]
    iterator = filter

    content {
      filter      = filter.value
      filter_type = "WILDCARD"
    }
  }

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = "alias/images"
  }

  tags = local.tags

  lifecycle {
    prevent_destroy = true
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  for_each   = aws_ecr_repository.this
  repository = each.value.name
  policy     = data.aws_ecr_lifecycle_policy_document.keep.json
}

resource "aws_ecr_repository_policy" "this" {
  for_each   = toset(local.names)
  repository = aws_ecr_repository.this[each.key].id
  policy     = data.aws_iam_policy_document.pull.json
}

resource "aws_ecr_repository" "counted" {
  count = 2
  name  = format("build-%02d", count.index)
}

resource "aws_ecr_lifecycle_policy" "counted" {
  count      = 2
  repository = aws_ecr_repository.counted[count.index].name

  policy = <<-END
    {"rules": [{"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": ${count.index + 5}}, "action": {"type": "expire"}}]}
  END
}

resource "aws_ecr_repository" "own" {
  name = "own"
}

resource "aws_ecr_repository_policy" "own" {
  repository = aws_ecr_repository.own.name
  policy     = data.aws_iam_policy_document.own.json
}

resource "aws_ecr_replication_configuration" "this" {
  replication_configuration {
    rule {
      destination {
        region      = "eu-west-1"
        registry_id = "111111111111"
      }
    }
  }
}

resource "aws_s3_bucket" "other" {
  bucket = var.bucket
}
