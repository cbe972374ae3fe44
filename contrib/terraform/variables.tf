variable "ecr_repositories" {
  description = "The repositories, by name. Each has the fields of ecr_repositories in a Kontor file, with the same defaults."
  type = map(object({
    is_immutable      = optional(bool, true)  # a tag cannot be pushed again to another image
    expire_all_images = optional(bool, false) # images expire 14 days after their push, unless a rule has them
    expiration_rules = optional(list(object({
      tag_pattern = string
      days        = number # after the push
    })), [])
    lifecycle_policy_json       = optional(string) # in the place of the three above, and of the rule for untagged images
    additional_pull_account_ids = optional(list(string), [])
    additional_push_account_ids = optional(list(string), [])
  }))

  validation {
    condition     = alltrue([for r in values(var.ecr_repositories) : length(setunion(r.additional_pull_account_ids, r.additional_push_account_ids)) <= 300])
    error_message = "A repository policy has room for about 300 accounts."
  }

  validation {
    condition     = alltrue(flatten([for r in values(var.ecr_repositories) : [for id in concat(r.additional_pull_account_ids, r.additional_push_account_ids) : can(regex("^[0-9]{12}$", id))]]))
    error_message = "The id of an account is 12 digits, in quotes."
  }
}

variable "tags" {
  description = "Resource tags of all repositories."
  type        = map(string)
  default     = {}
}
