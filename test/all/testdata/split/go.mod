module split

go 1.26
