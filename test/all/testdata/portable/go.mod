module portable

go 1.26
