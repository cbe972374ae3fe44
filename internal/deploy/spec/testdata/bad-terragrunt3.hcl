inputs = {
  repositories = {}
}
