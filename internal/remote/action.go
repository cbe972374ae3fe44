package remote

import "github.com/kontor-registry/kontor/internal/access"

// Action is a kind of call, in the words of error messages.
type Action string

// The actions.
const (
	ReadManifest     Action = "read manifest"
	WriteManifest    Action = "write manifest"
	FindBlob         Action = "look for blob"
	ReadBlob         Action = "read blob"
	MountBlob        Action = "mount blob"
	StartUpload      Action = "start the upload of blob"
	UploadBlob       Action = "upload blob"
	ListReferrers    Action = "list what refers to"
	ListTags         Action = "list tags"
	ListRepositories Action = "list repositories"
	LogIn            Action = "log in"
)

// about is what is known of an action.
type about struct {
	// iam are the actions of ECR that it needs: ECR user guide and service
	// authorization reference. Mounting needs the second on the repository that
	// it mounts from.
	iam []access.Action
	// scope is what a Bearer token must allow.
	scope []string
	// rate is how many a second ECR takes: ECR user guide, "Amazon ECR service
	// quotas"; 0 where that is more than a client can send, or not published.
	rate float64
}

var pull, push = []string{"pull"}, []string{"pull", "push"}

var actions = map[Action]about{
	ReadManifest:     {iam: []access.Action{"ecr:BatchGetImage"}, scope: pull},
	WriteManifest:    {iam: []access.Action{"ecr:PutImage"}, scope: push, rate: 10},
	FindBlob:         {iam: []access.Action{"ecr:BatchCheckLayerAvailability"}, scope: pull},
	ReadBlob:         {iam: []access.Action{"ecr:GetDownloadUrlForLayer"}, scope: pull},
	MountBlob:        {iam: []access.Action{"ecr:InitiateLayerUpload"}, scope: push, rate: 100},
	StartUpload:      {iam: []access.Action{"ecr:InitiateLayerUpload"}, scope: push, rate: 100},
	UploadBlob:       {iam: []access.Action{"ecr:UploadLayerPart", "ecr:CompleteLayerUpload"}, scope: push, rate: 100},
	ListReferrers:    {iam: []access.Action{"ecr:ListImageReferrers", "ecr:BatchGetImage"}, scope: pull},
	ListTags:         {iam: []access.Action{"ecr:ListImages"}, scope: pull},
	ListRepositories: {iam: []access.Action{"ecr:DescribeRepositories"}},
	LogIn:            {iam: []access.Action{"ecr:GetAuthorizationToken"}},
}

// Permissions are the actions of IAM that a call of the kind a needs.
func (a Action) Permissions() []access.Action { return actions[a].iam }
