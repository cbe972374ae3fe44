names = ["one-a", "one-b"]
keep  = 12
