# Container image repositories and their settings. kontor explain describes each
# field, kontor validate checks the file.

# Without registries the file is for the registry of kontor up, on this machine.
# To deploy to AWS, uncomment and edit:

# registries = [
#   {
#     name    = "prod"
#     account = "111111111111"
#     region  = "us-east-1"
#   },
# ]

# The name of what this file owns, kept in a tag of each repository.
stack = "team images"

ecr_repositories = {
  # The defaults: a tag cannot be moved to another image, and untagged images are
  # removed after a day.
  website = {}

  # Releases never expire. Images of pull requests expire after 7 days; of those of
  # the main branch, the newest 20 are kept.
  api = {
    keep = ["v*"]
    expiration_rules = [
      { tag_pattern = "pr-*", days = 7 },
      { tag_pattern = "main-*", keep_last = 20 },
    ]
  }

  # Tags can be moved, and every image expires after 14 days.
  sandbox = {
    is_immutable      = false
    expire_all_images = true
  }
}
