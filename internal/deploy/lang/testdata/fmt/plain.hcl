# about
stack="a"
ecr_repositories={
  # of a repository
  website={
    is_immutable=false
      expiration_rules=[ {tag_pattern="pr-*",days=7} ] // why
  }
  "team/api" = {  }
}
