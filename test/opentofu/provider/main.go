// Command provider stands in for the AWS provider of Terraform, for the three
// resources that `kontor export terraform` writes: it imports and reads them from any
// registry with the ECR API, and changes nothing. Its resources have the attributes and
// blocks of the real ones, from a file. A policy is equal to another with the same JSON
// values; the real provider accepts more forms as equal.
package main

import (
	"context"
	"log"
	"os"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"
)

// SchemaVariable names the environment's file of resources, which is the one that
// the tests of the exporter read.
const SchemaVariable = "PROVIDER_SCHEMA"

func main() {
	resources, err := readSchema(os.Getenv(SchemaVariable))
	if err != nil {
		log.Fatal(err)
	}
	err = providerserver.Serve(context.Background(), newProvider(resources), providerserver.ServeOpts{Address: "registry.opentofu.org/hashicorp/aws"})
	if err != nil {
		log.Fatal(err)
	}
}
