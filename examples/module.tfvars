# Inputs of a Terraform module, which Kontor reads as they are: it takes
# ecr_repositories and says of the rest that it is not used.
environment = "production"

ecr_repositories = {
  website = {}

  scraper = {
    expiration_rules = [
      { tag_pattern = "pr-*", days = 7 },
      { tag_pattern = "main-*", days = 90 },
    ]
  }

  test = {
    is_immutable      = false
    expire_all_images = true
  }

  # Account ids are in quotes: as a number one would lose its leading zeros.
  api = {
    additional_pull_account_ids = ["033333333333"]
    additional_push_account_ids = ["444444444444"]
  }
}
