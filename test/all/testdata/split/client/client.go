package client

import "net/http"

var Client http.Client
