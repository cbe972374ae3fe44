output "repository_urls" {
  description = "The addresses of the repositories, by name."
  value       = { for name, r in aws_ecr_repository.this : name => r.repository_url }
}

output "repository_arns" {
  description = "The ARNs of the repositories, by name."
  value       = { for name, r in aws_ecr_repository.this : name => r.arn }
}
