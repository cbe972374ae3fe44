package ecrapi

import "testing"

func TestPullTimeExclusions(t *testing.T) {
	s := newServer(t)
	const (
		scanner = "arn:aws:iam::000000000000:role/scanner"
		user    = "arn:aws:iam::000000000000:user/mirror"
	)
	s.steps(t,
		step{"ListPullTimeUpdateExclusions", `{}`, `{"pullTimeUpdateExclusions": []}`},
		step{"RegisterPullTimeUpdateExclusion", `{"principalArn": "` + user + `"}`, `{"principalArn": "` + user + `", "createdAt": ` + created + `}`},
		step{"RegisterPullTimeUpdateExclusion", `{"principalArn": "` + scanner + `"}`, `{"principalArn": "` + scanner + `", "createdAt": ` + created + `}`},
		step{"RegisterPullTimeUpdateExclusion", `{"principalArn": "` + scanner + `"}`,
			"ExclusionAlreadyExistsException: The pull time update exclusion for '" + scanner + "' already exists in the registry with id '000000000000'"},
		step{"ListPullTimeUpdateExclusions", `{}`, `{"pullTimeUpdateExclusions": ["` + scanner + `", "` + user + `"]}`},
	)
	first := ok[ListPullTimeUpdateExclusionsResponse](t, s, "ListPullTimeUpdateExclusions", `{"maxResults": 1}`)
	if len(first.PullTimeUpdateExclusions) != 1 || first.NextToken == nil {
		t.Fatalf("the first page is %+v", first)
	}
	s.steps(t,
		step{"ListPullTimeUpdateExclusions", `{"maxResults": 1, "nextToken": "` + *first.NextToken + `"}`, `{"pullTimeUpdateExclusions": ["` + user + `"]}`},
		step{"DeregisterPullTimeUpdateExclusion", `{"principalArn": "` + scanner + `"}`, `{"principalArn": "` + scanner + `"}`},
		step{"DeregisterPullTimeUpdateExclusion", `{"principalArn": "` + scanner + `"}`,
			"ExclusionNotFoundException: The pull time update exclusion for '" + scanner + "' does not exist in the registry with id '000000000000'"},
		step{"ListPullTimeUpdateExclusions", `{}`, `{"pullTimeUpdateExclusions": ["` + user + `"]}`},
	)
}
