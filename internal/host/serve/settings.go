// Package serve runs a registry as a service: what `kontor serve` does. A file of
// settings, and environment variables over it, say which registries there are,
// under which names clients reach them, and where their data is: metadata in
// SQLite or PostgreSQL, blobs in a folder or in S3, in any mix.
//
// It guarantees that everything that is wrong with the settings is reported at
// once, with its place; that nothing is opened before they are right; that a
// master key is never made; and that a database is never used with the blobs of
// another.
package serve

// Settings are what the file says. Their tags are the one description of it:
// `field` is the name, `about` says what it is, `default` what holds without it,
// and `form` what a text must look like. Its environment variable is KONTOR_ and
// the names on the way to it, in capitals.
type Settings struct {
	Listen        string     `field:"listen" form:"listen" default:"localhost:5050" about:"HOST:PORT to serve on; port 0 is any free one"`
	ExternalURL   string     `field:"external_url" form:"url" default:"the host that a request was sent to" about:"URL at which clients reach the server. With several registries, a registry has the host name of it that is among its hosts, else its first one of hosts, else ACCOUNT.dkr.ecr.REGION. before it"`
	InsecureHTTP  bool       `field:"insecure_http" default:"false" about:"serve plain HTTP to other machines: where a proxy before the server ends TLS and the network between is trusted"`
	Registries    []Registry `field:"registries" about:"registries to serve, at least one"`
	Data          string     `field:"data" about:"folder of this one process: SQLite and blobs where nothing else is said, and the audit log"`
	Database      Database   `field:"database" about:"where metadata is, instead of SQLite in data"`
	Storage       Storage    `field:"storage" about:"where blobs are, instead of a folder in data"`
	MasterKeyFile string     `field:"master_key_file" default:"master.key in data" about:"file of the master key, as kontor admin master-key new writes one; the same for all replicas"`

	AdministratorFile string `field:"administrator_file" about:"file of the access keys with which the first start makes the administrators, in the form of AWS's shared credentials: the profile default for the first registry's account, the account's ID for others"`
	Identities        string `field:"identities" about:"file of the users, roles and policies to make at each start, see access.md"`

	TrustedProxies []string `field:"trusted_proxies" form:"network" about:"addresses and networks of proxies whose X-Forwarded-For, X-Forwarded-Host and X-Forwarded-Proto count"`
	ProxyProtocol  bool     `field:"proxy_protocol" default:"false" about:"connections of trusted_proxies begin with a header of the PROXY protocol, version 1 or 2"`
	TLS            TLS      `field:"tls" about:"serve https"`

	Upstreams      []Upstream `field:"upstreams" about:"registries that pull-through cache rules may name in addition to those that AWS lists; with compat ecr what is said of those that AWS lists counts only"`
	UpstreamFolder string     `field:"upstream_folder" default:"the system's folder for temporary files" about:"folder on a disk with room for the largest layers of upstream registries, which are kept there while they come"`

	Events                  Events                   `field:"events" about:"webhooks that are told of pushes, deletions and more, see guides/events.md"`
	ReplicationDestinations []ReplicationDestination `field:"replication_destinations" about:"registries that are not on this server and that replication rules may name, see guides/replication.md"`
	Scanner                 *Scanner                 `field:"scanner" about:"what scans images for vulnerabilities, see guides/scanning.md; without it none is scanned"`

	Drain Duration `field:"drain" default:"0s" about:"how long to go on serving after SIGTERM, with /readyz answering 503"`
	Grace Duration `field:"grace" default:"15s" about:"how long running requests may go on after that"`

	MachineCredentials string            `field:"machine_credentials" form:"switch" about:"accept machine tokens of users, and tokens of identity providers, as docker passwords: on or off; on with compat oci and off with compat ecr unless given"`
	Limits             map[string]string `field:"limits" about:"limits by name, see limits.md; KONTOR_LIMITS=NAME=VALUE,NAME=VALUE"`
	Audit              string            `field:"audit" form:"audit" default:"changes" about:"what to record in data: changes (and denials), all (reads too), strict (a read that cannot be recorded is refused) or off"`
	Log                string            `field:"log" default:"-" about:"file for a line of JSON per request, - for stderr, or none"`
	MetricsListen      string            `field:"metrics_listen" form:"listen" about:"HOST:PORT to serve metrics on, without a login"`
	Traces             Traces            `field:"traces" about:"send traces to a collector of OpenTelemetry"`
	Console            string            `field:"console" form:"switch" default:"on" about:"on serves the web console at /console/ of every registry, off does not"`
	ConsoleListen      string            `field:"console_listen" form:"listen" default:"where the registries are" about:"HOST:PORT of the web console's own, so that it can be kept from those who pull and push; nothing else is served there. Registries with a listen of their own have the following ports"`
	SingleSignOn       []SingleSignOn    `field:"single_sign_on" about:"OpenID Connect providers that people log in to the web console with, see guides/single-sign-on.md"`
	UploadAge          string            `field:"upload_age" form:"upload age" default:"24h" about:"remove uploads that had no writes for so long"`
	LifecycleEvery     string            `field:"lifecycle_every" form:"lifecycle" default:"1h" about:"run lifecycle policies so often, or only on request: off"`
	MaxExpire          string            `field:"max_expire" form:"max expire" about:"stop a lifecycle run that would expire more images of a repository than this number, or than this share such as 10%"`
	RecycleDays        string            `field:"recycle_days" form:"recycle days" default:"7" about:"keep deleted images in the recycle bin for so many days; 0 turns the bin off"`
	PullActivityDays   string            `field:"pull_activity_days" form:"pull activity days" default:"90" about:"keep for so many days who pulled which image; 0 records nothing"`
}

// Registry is one of registries.
type Registry struct {
	Account     string   `field:"account" form:"account" required:"true" about:"12-digit account"`
	Region      string   `field:"region" form:"region" required:"true" about:"region, such as us-east-2"`
	Compat      string   `field:"compat" form:"compat" default:"oci" about:"what to follow where the two differ: oci (the OCI specification) or ecr (what works here works on ECR)"`
	Hosts       []string `field:"hosts" form:"host" about:"host names of the registry, with a port or without, for any port. ACCOUNT.dkr.ecr.REGION.DOMAIN is one without being listed"`
	Listen      string   `field:"listen" form:"listen" about:"HOST:PORT of its own; requests to that port are for this registry whatever their host"`
	ExternalURL string   `field:"external_url" form:"url" about:"URL at which clients reach this registry"`
}

// Upstream is one of upstreams.
type Upstream struct {
	Host         string `field:"host" form:"host" required:"true" about:"host of the registry, with its port if it has one"`
	Private      bool   `field:"private" default:"false" about:"dial it, and what it redirects to, at addresses of private networks and of this machine, too"`
	InsecureHTTP bool   `field:"insecure_http" default:"false" about:"speak plain HTTP with it"`
	Address      string `field:"address" form:"host" default:"host" about:"HOST:PORT to dial in its place, of what stands in for the registry, such as a mirror"`
	CAFile       string `field:"ca_file" about:"file of certificate authorities to trust for it in addition to the system's, in PEM"`
}

// Scanner is what scans images: a web service or a program.
type Scanner struct {
	Name              string   `field:"name" default:"scanner" about:"name of the scanner in reports"`
	URL               string   `field:"url" about:"URL of a web service that speaks Harbor's scanner API, whose paths begin with /api/v1 below it"`
	Private           bool     `field:"private" default:"false" about:"dial url at addresses of private networks and of this machine, too"`
	CAFile            string   `field:"ca_file" about:"file of certificate authorities to trust for url in addition to the system's, in PEM"`
	Authorization     string   `field:"authorization" secret:"true" about:"Authorization header for url, such as Bearer TOKEN"`
	AuthorizationFile string   `field:"authorization_file" about:"file that holds authorization"`
	RegistryURL       string   `field:"registry_url" form:"url" default:"as clients reach the registry" about:"URL at which the web service reaches this server"`
	Command           []string `field:"command" about:"instead of url, a program and its arguments that reads the OCI layout in the folder {layout} and prints a report of Trivy, Grype or Harbor in JSON; {digest} is the image's digest, {folder} an empty folder to work in"`
	SBOMCommand       []string `field:"sbom_command" about:"what to run instead of command for images with an SPDX or CycloneDX referrer in JSON, whose file is {sbom}"`
	Folder            string   `field:"folder" default:"the system's folder for temporary files" about:"folder on a disk with room for the images that are scanned at a time"`
	Memory            string   `field:"memory" about:"most memory that each process of command may have, such as 2GiB; on Linux only"`
	Timeout           Duration `field:"timeout" default:"15m" about:"how long a scan may take"`
	Concurrency       string   `field:"concurrency" default:"2" about:"scans at a time, of all replicas together, from 1 to 32"`
}

// Events says who may be told of what happens.
type Events struct {
	Hosts     []EventHost     `field:"hosts" about:"hosts that receivers may be on, whatever addresses they have; no others are reached"`
	Receivers []EventReceiver `field:"receivers" about:"receivers of events, in addition to those that administrators add with kontor admin events"`
	Queue     string          `field:"queue" form:"number" default:"10000" about:"how many events may wait for a receiver; when there are more, the oldest are dropped. The log keeps as many"`
	LogDays   string          `field:"log_days" form:"number" default:"7" about:"keep for so many days what was sent to receivers"`
}

// EventHost is one of events.hosts.
type EventHost struct {
	Host         string `field:"host" form:"host" required:"true" about:"host of receivers, with its port if that is not the usual one"`
	InsecureHTTP bool   `field:"insecure_http" default:"false" about:"allow plain HTTP"`
	CAFile       string `field:"ca_file" about:"file of certificate authorities to trust for it in addition to the system's, in PEM"`
}

// EventReceiver is one of events.receivers.
type EventReceiver struct {
	Name         string            `field:"name" required:"true" about:"name of the receiver, such as deploy"`
	URL          string            `field:"url" secret:"true" about:"URL that events are sent to, on one of hosts"`
	URLFile      string            `field:"url_file" about:"file that holds url"`
	Secret       string            `field:"secret" secret:"true" about:"secret that requests are signed with, at least 16 characters"`
	SecretFile   string            `field:"secret_file" about:"file that holds secret"`
	Format       string            `field:"format" form:"event format" default:"eventbridge" about:"form of the events: eventbridge, cloudevents or cloudevents-binary"`
	Types        []string          `field:"types" about:"types of events, such as image.pushed or \"image.*\"; all unless given"`
	Repositories []string          `field:"repositories" about:"names or patterns of repositories, such as team/*; all unless given"`
	Accounts     []string          `field:"accounts" form:"account" about:"accounts of the registries whose events are sent; all unless given"`
	Headers      map[string]string `field:"headers" secret:"true" about:"headers to send in addition, such as Authorization"`
}

// ReplicationDestination is one of replication_destinations.
type ReplicationDestination struct {
	Account      string `field:"account" form:"account" required:"true" about:"12-digit account that rules name it by: its own for a registry of Amazon ECR or of another Kontor, any for other registries"`
	Region       string `field:"region" form:"region" required:"true" about:"region that rules name it by"`
	Host         string `field:"host" form:"host" required:"true" about:"host of the registry, with its port if it has one"`
	Prefix       string `field:"prefix" about:"what stands before the names of repositories there, such as mirror/"`
	Username     string `field:"username" about:"user name to log in with; none for no login"`
	Password     string `field:"password" secret:"true" about:"password to log in with"`
	PasswordFile string `field:"password_file" about:"file that holds password; it is read at each login, so that another program may renew it"`
	InsecureHTTP bool   `field:"insecure_http" default:"false" about:"speak plain HTTP with it"`
	CAFile       string `field:"ca_file" about:"file of certificate authorities to trust for it in addition to the system's, in PEM"`

	RoleARN             string `field:"role_arn" about:"role by which a registry of Amazon ECR is reached, instead of username; the server assumes it, gets the password, renews both, and creates repositories as the creation templates there say"`
	ExternalID          string `field:"external_id" about:"external ID that the role's trust policy asks for"`
	RoleSessionName     string `field:"role_session_name" default:"kontor-replication" about:"name of the role's sessions, for the audit logs there"`
	AccessKeyID         string `field:"access_key_id" secret:"true" default:"as the AWS SDK finds one" about:"access key to assume the role with"`
	AccessKeyIDFile     string `field:"access_key_id_file" about:"file that holds access_key_id"`
	SecretAccessKey     string `field:"secret_access_key" secret:"true" about:"its secret"`
	SecretAccessKeyFile string `field:"secret_access_key_file" about:"file that holds secret_access_key"`
	InstanceRole        bool   `field:"instance_role" default:"false" about:"ask the instance metadata service of the machine for credentials where the AWS SDK finds no others"`
	STSEndpoint         string `field:"sts_endpoint" form:"url" default:"Amazon STS in region" about:"URL of STS"`
	ECREndpoint         string `field:"ecr_endpoint" form:"url" default:"Amazon ECR in region" about:"URL of the ECR API"`

	ImagesPerMinute string `field:"images_per_minute" form:"number" default:"no limit" about:"most images that begin to be sent there in a minute, by all servers on the database together"`
	BytesPerSecond  string `field:"bytes_per_second" default:"no limit" about:"most bytes of layers that are sent there in a second, such as 10MiB, by all servers on the database together"`
}

// SingleSignOn is one of single_sign_on.
type SingleSignOn struct {
	Name             string   `field:"name" required:"true" about:"name of the provider on the login page, such as Example Inc."`
	Issuer           string   `field:"issuer" required:"true" about:"URL of the issuer, as the identity provider of the account has it"`
	ClientID         string   `field:"client_id" required:"true" about:"ID of the client that the server is at the provider; an audience of the identity provider of the account"`
	ClientSecret     string   `field:"client_secret" secret:"true" about:"secret of the client; none for a client that has none and relies on PKCE"`
	ClientSecretFile string   `field:"client_secret_file" about:"file that holds client_secret"`
	Scopes           []string `field:"scopes" about:"scopes to ask for in addition to openid, for providers that put claims into the token for them"`
	Hosts            []string `field:"hosts" form:"host" about:"hosts of the provider in addition to that of issuer, with a port if it has one, such as oauth2.googleapis.com and www.googleapis.com; the server asks no others, and sends no browser there"`
}

// Database is where metadata is.
type Database struct {
	URL     string `field:"url" secret:"true" about:"PostgreSQL, as postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full"`
	URLFile string `field:"url_file" about:"file that holds url"`
}

// Storage is where blobs are.
type Storage struct {
	S3 *S3 `field:"s3" about:"a bucket of Amazon S3 or of a store that speaks its protocol"`
}

// S3 is a bucket.
type S3 struct {
	Bucket              string `field:"bucket" required:"true" about:"name of the bucket"`
	Region              string `field:"region" default:"us-east-1" about:"region of the bucket"`
	Endpoint            string `field:"endpoint" form:"url" default:"Amazon S3" about:"URL of the store"`
	PathStyle           bool   `field:"path_style" default:"false" about:"put the bucket into the path and not into the host name"`
	Prefix              string `field:"prefix" about:"what the names of all objects begin with"`
	AccessKeyID         string `field:"access_key_id" secret:"true" default:"as the AWS SDK finds one" about:"access key of the store"`
	AccessKeyIDFile     string `field:"access_key_id_file" about:"file that holds access_key_id"`
	SecretAccessKey     string `field:"secret_access_key" secret:"true" about:"its secret"`
	SecretAccessKeyFile string `field:"secret_access_key_file" about:"file that holds secret_access_key"`
	Redirect            bool   `field:"redirect" default:"false" about:"let clients fetch blobs from the store itself, by URLs that are valid for some minutes"`
	PublicEndpoint      string `field:"public_endpoint" form:"url" default:"endpoint" about:"URL by which clients reach the store, for redirect"`
	Memory              string `field:"memory" default:"256MiB" about:"memory for the buffers of all uploads together, at least 128MiB"`
}

// Traces are where to send traces.
type Traces struct {
	Endpoint string `field:"endpoint" form:"url" default:"OTEL_EXPORTER_OTLP_ENDPOINT, else traces are off" about:"URL of a collector that takes OTLP over HTTP, such as http://localhost:4318; /v1/traces is added"`
}

// TLS is a certificate.
type TLS struct {
	Cert string `field:"cert" about:"file of the certificate chain, in PEM; loaded again when it changes"`
	Key  string `field:"key" about:"file of its private key, in PEM"`
}

// Duration is a duration as Go writes it, such as "15s".
type Duration string
