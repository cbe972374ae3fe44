package admincmd_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/kontor-registry/kontor/internal/testkit/push"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// TestAdminEndpoint asks a registry elsewhere, with the AWS credentials of the
// environment.
func TestAdminEndpoint(t *testing.T) {
	reg := kontortest.Start(t, kontortest.Options{Audit: true})
	reg.CreateRepository(t, "team/app")
	s := clitest.New(t)
	clitest.AWSEnv(t, reg.Admin)
	p := push.To(t, awstest.ECR(reg), "team/app")
	d := p.Image("one", "", "v1")
	at := []string{"--endpoint", reg.URL, "--region", reg.Region}

	s.Want(s.Run(append([]string{"admin", "usage"}, at...)...), 0, "team/app: 1 image")
	listed := func() clitest.Result { return s.Run(append([]string{"admin", "jobs"}, at...)...) }
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && !strings.Contains(listed().Out, "last run: ended"); { // it begins when the server starts
		continue
	}
	s.Want(listed(), 0, "repository deletion: waits\n  last run: ended ", ", 0 removed, 0 B\n")
	s.Want(s.Run(append([]string{"admin", "jobs", "--json"}, at...)...), 0, `"name": "repository deletion"`, `"process": "`)
	s.Write("used.txt", reg.Host+"/team/app:v1  a host\nother.example/x:1\n")
	s.Want(s.Run(append([]string{"lease", "from", "file", "used.txt", "--collector", "hosts"}, at...)...), 0, "Recorded 1 lease of collector hosts", "other.example 1")
	s.Want(s.Run(append([]string{"lease", "list"}, at...)...), 0, "team/app:v1\n    hosts: a host\n")
	s.Want(s.Run(append([]string{"admin", "restore", "team/app@" + d}, at...)...), 1, "is not in the recycle bin")
	s.Want(s.Run("admin", "bin", "--endpoint", reg.URL), 2, "give --region, or set AWS_REGION")
	s.Want(s.Run("admin", "bin", "--endpoint", "localhost"), 2, "want a URL such as")
	s.Want(s.Run("admin", "bin", "--endpoint", reg.URL, "--data", "x"), 2, "leave out --data and --target")
	s.Want(s.Run("admin", "bin", "--region", "us-east-1"), 2, "--region needs --endpoint")

	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"admin", "scanner", "scan", "team/app:v2"}, 1, "kontor: team/app:v2: ImageNotFoundException: The image with imageId"},
		{[]string{"admin", "scanner", "findings", "team/app:v1"}, 1, "kontor: team/app:v1: ScanNotFoundException: Image scan does not exist"},
		{[]string{"admin", "signing-profile", "rules"}, 0, "Nothing is signed."},
		{[]string{"admin", "signing-profile", "rules", "release=team/*"}, 1, `there is no signing profile "release"`},
		{[]string{"admin", "signing-profile", "create", "release"}, 0, ":/signing-profiles/release"},
		{[]string{"admin", "signing-profile", "rules", "release=team/*"}, 0, "release signs team/*\nIt signs for those who may: a push without signer:SignPayload"},
		{[]string{"admin", "signing-profile", "delete", "release"}, 1, "the signing configuration names the profile 'release'"},
		{[]string{"admin", "signing-profile", "rules", "--none"}, 0, "Nothing is signed."},
		{[]string{"admin", "signing-profile", "delete", "release"}, 0, ""},
	} {
		s.Want(s.Run(append(c.args, at...)...), c.code, c.want)
	}

	pulled := func() {
		t.Helper()
		if _, err := awstest.ECR(reg).BatchGetImage(t.Context(), &awsecr.BatchGetImageInput{RepositoryName: aws.String("team/app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}}); err != nil {
			t.Fatal(err)
		}
	}
	pulled()
	pulled()
	activity := func(flags ...string) clitest.Result {
		return s.Run(append(append([]string{"admin", "activity"}, at...), flags...)...)
	}
	s.Want(activity(), 0, " (v1)\n    2 pulls by arn:aws:iam::000000000000:user/administrator, last at ", "\n2 pulls\n")
	s.Want(activity("--repository", "team/app", "--image", d, "--days", "1", "--json"), 0, `"imageTag": "v1"`, `"pulls": 2`, `"keptDays": 90`)
	s.Want(activity("--repository", "team/app", "--image", "v1", "--principal", "user/administrator"), 0, "\n2 pulls\n")
	s.Want(activity("--principal", "user/pusher"), 0, "No pulls match. Pulls are kept for 90 days.")
	s.Want(activity("--until", "2020-01-01"), 0, "No pulls match.")
	s.Want(activity("--repository", "none"), 1, "The repository with name 'none' does not exist")
	s.Want(activity("--image", "v1"), 2, "--image needs --repository")
	s.Want(activity("--days", "1", "--since", "1d"), 2, "give one of them")

	// those who may push and pull may not look after the registry
	clitest.AWSEnv(t, reg.Pusher)
	s.Want(s.Run(append([]string{"admin", "bin"}, at...)...), 1, "is not authorized to perform: kontor:ListRecycleBin")
	s.Want(s.Run(append([]string{"admin", "jobs"}, at...)...), 1, "is not authorized to perform: kontor:ListJobs")
	s.Want(s.Run(append([]string{"admin", "audit"}, at...)...), 1, "is not authorized to perform: kontor:ListAuditRecords")
	clitest.AWSEnv(t, reg.Admin)
	s.Want(s.Run(append([]string{"admin", "audit", "--decision", "denied"}, at...)...), 0, "denied  kontor:ListAuditRecords", "user/pusher")
	s.Want(s.Run(append([]string{"admin", "audit", "--action", "ecr:PutImage", "--json"}, at...)...), 0, `"action":"ecr:PutImage"`)
	s.Want(s.Run(append([]string{"admin", "audit", "--data", "x"}, at...)...), 2, "leave out --data")
	clitest.AWSEnv(t, reg.Pusher)
	s.Want(activity(), 1, "is not authorized to perform: kontor:ListPullActivity")
	s.Want(s.Run(append([]string{"admin", "usage", "team/app"}, at...)...), 1, "kontor:DescribeUsage")
}

// TestAdminElsewhere: what is not a Kontor registry is reported as such, and what
// is busy is asked again.
func TestAdminElsewhere(t *testing.T) {
	s := clitest.New(t)
	clitest.AWSEnv(t, kontortest.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "secret"})
	tries := 0
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if tries++; tries == 1 {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"__type": "ThrottlingException", "message": "Rate exceeded"})
			return
		}
		http.Error(w, "<html>", http.StatusNotFound)
	}))
	defer web.Close()
	s.Want(s.Run("admin", "bin", "--endpoint", web.URL, "--region", "us-east-1"), 1, "returned 404 Not Found: it is not a Kontor registry")
	if tries != 2 {
		t.Errorf("%d tries, want 2: throttled calls are made again, others are not", tries)
	}
}
