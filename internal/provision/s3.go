package provision

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ociproxy/internal/store"
	"ociproxy/internal/store/address"
)

// s3Service is a bucket of Amazon S3, or of a service with the same protocol.
type s3Service struct {
	store.S3
	opened store.Bucket
	at     address.Bucket
	region string // "" accepts any
	logs   string // the bucket for access logs; "" leaves them alone
	store  string
}

func (s *s3Service) kind() string { return "s3" }

func (s *s3Service) own() bool { return s.Amazon }

func (s *s3Service) items() []item {
	who := "everybody"
	where := s.Region
	if !s.Amazon {
		where = s.at.Endpoint
	}
	all := []item{
		{Setting{bucketItself, "exists in " + where, "the store writes to it"}, always, s.lookBucket, s.makeBucket},
		{Setting{"ownership", "BucketOwnerEnforced: ACLs have no effect", "one policy says who may do what, and no object can differ"},
			mayLack, s.lookOwnership, s.setOwnership},
		{Setting{"publicAccessBlock", "ACLs blocked, policies allowed", "a public policy can be put only after BlockPublicPolicy is off; ACLs stay blocked"},
			mayLack, s.lookBlock, s.setBlock},
		{Setting{"encryption", "SSE-S3 (AES256)", "clients without credentials cannot read what a KMS key encrypts"},
			mayLack, s.lookEncryption, s.setEncryption},
		{Setting{"versioning", "enabled", "what is overwritten or deleted by mistake can be restored"},
			mayLack, s.lookVersioning, s.setVersioning},
	}
	for _, rule := range s.rules() {
		all = append(all, s.ruleItem(rule))
	}
	for _, sid := range sids {
		want, why := map[string]string{
			sidRead:  "Allow s3:GetObject on blobs and inventory to " + who + ", and no list",
			sidTLS:   "Deny s3:* without TLS",
			sidWrite: "Deny s3:PutObject of a blob without If-None-Match",
		}[sid], map[string]string{
			sidRead:  "clients pull without credentials; they need no list",
			sidTLS:   "nobody can change bytes on the way, or read credentials",
			sidWrite: "a writer cannot replace a blob",
		}[sid]
		has := mayDrop
		if sid == sidRead {
			has = mayLack
		}
		all = append(all, item{Setting{"policy/" + sid, want, why}, has,
			func(ctx context.Context) (Finding, error) { return s.lookPolicy(ctx, sid) },
			func(ctx context.Context) error { return s.setPolicy(ctx, sid) }})
	}
	all = append(all, item{Setting{strangers, "nothing but to read objects by their keys", "who lists or writes without credentials can read, fill or empty the bucket"},
		mayLack, s.lookStrangers, nil})
	all = append(all, item{Setting{"tag", tag + "=" + s.store, "bills and scripts can name the store"}, mayLack, s.lookTag, s.setTag})
	if s.logs != "" {
		all = append(all, item{Setting{"logging", "access logs go to " + s.logs + "/" + s.logPrefix(), "they say who reads what, and how much"},
			mayLack, s.lookLogging, s.setLogging})
	}
	return all
}

// explain implements [service].
func (s *s3Service) explain(it item, changing bool, err error) (State, string, string) {
	code, why := s.Failure(err)
	right := "s3:" + rights[baseName(it.Name)]
	if changing {
		right = strings.Replace(right, "s3:Get", "s3:Put", 1)
	}
	switch {
	case errors.Is(why, errors.ErrUnsupported), code == "NotImplemented", code == "MethodNotAllowed":
		return Unsupported, "this service does not have it: " + orWord(code, "no such request"), s.instead(it.Name)
	case errors.Is(why, store.ErrDenied) && changing && baseName(it.Name) == "policy" && s.Amazon:
		return Blocked, why.Error(), s.aboveIt()
	case errors.Is(why, store.ErrDenied) && changing:
		return Failed, why.Error(), "give these credentials the right " + right + "; if they have it, a policy of the organisation (SCP, RCP) forbids it: ask its administrator"
	case errors.Is(why, store.ErrDenied):
		return Unknown, why.Error(), "give these credentials the right " + right
	case code == "InvalidTargetBucketForLogging", code == "CrossLocationLoggingProhibitted":
		return Failed, why.Error(), fmt.Sprintf("make %s in region %s, in this account, with a policy that lets logging.s3.amazonaws.com put objects", s.logs, s.Region)
	case changing && it.has != always && !s.Amazon && code != "" && answered(err):
		return Unsupported, "this service refuses it: " + why.Error(), s.instead(it.Name)
	}
	return Failed, why.Error(), ""
}

// answered reports whether a service gave an answer that would be the same the next time.
func answered(err error) bool {
	var resp *awshttp.ResponseError
	if !errors.As(err, &resp) {
		return false
	}
	status := resp.HTTPStatusCode()
	return status/100 == 4 && status != http.StatusTooManyRequests && status != http.StatusRequestTimeout && status != http.StatusConflict
}

// rights are those that reading a setting needs.
var rights = map[string]string{
	"ownership": "GetBucketOwnershipControls", "publicAccessBlock": "GetBucketPublicAccessBlock", "encryption": "GetEncryptionConfiguration",
	"versioning": "GetBucketVersioning", "lifecycle": "GetLifecycleConfiguration", "policy": "GetBucketPolicy", "logging": "GetBucketLogging",
	"tag": "GetBucketTagging",
}

// baseName returns the name of a setting without the part that distinguishes it from its siblings.
func baseName(setting string) string {
	base, _, _ := strings.Cut(setting, "/")
	return base
}

// instead says what to do at services that do not have a setting.
func (s *s3Service) instead(setting string) string {
	r2 := strings.HasSuffix(s.at.Endpoint, ".r2.cloudflarestorage.com")
	switch {
	case setting == "policy/"+sidRead && r2:
		return "make the bucket public with a custom domain: npx wrangler r2 bucket domain add " + s.Name + " --domain HOST --zone-id ZONE"
	case setting == "policy/"+sidWrite && r2:
		return "lock the blobs: npx wrangler r2 bucket lock add " + s.Name + " blobs " + s.at.Prefix + store.BlobPrefix + " --retention-indefinite"
	case setting == "policy/"+sidRead:
		return "let everybody read objects, and not list them, with the tools of this service"
	}
	return ""
}

// aboveIt says what stands above a bucket of Amazon and forbids a public policy.
func (s *s3Service) aboveIt() string {
	account := "ACCOUNT"
	if s.Owner != nil {
		account = *s.Owner
	}
	return fmt.Sprintf("look whether the account forbids public policies: aws s3control get-public-access-block --account-id %[1]s; "+
		"its administrator opens it with aws s3control put-public-access-block --account-id %[1]s --public-access-block-configuration "+
		"BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=false,RestrictPublicBuckets=false. "+
		"If the organisation has set it (an S3 policy, an SCP or an RCP), ask its administrator, or serve the bucket through CloudFront. "+
		"Without any of these, the credentials lack s3:PutBucketPolicy", account)
}

// absent reports whether an error says that a setting was never set.
func (s *s3Service) absent(err error) bool {
	code, why := s.Failure(err)
	return errors.Is(why, store.ErrNotFound) && code != "NoSuchBucket"
}

func (s *s3Service) lookBucket(ctx context.Context) (Finding, error) {
	_, err := s.Client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner})
	if _, why := s.Failure(err); errors.Is(why, store.ErrNotFound) {
		// Credentials of another account would make it in the wrong place. --dry-run says so, too.
		return Finding{State: Missing, Have: "does not exist"}, s.checkAccount(ctx)
	}
	if err := s.opened.Check(ctx, ""); err != nil {
		return Finding{}, foreign(err)
	}
	return Finding{State: Good, Have: "exists"}, nil
}

// foreign adds ErrForeign to the error of a bucket that was found and may not be used.
func foreign(err error) error {
	if errors.Is(err, store.ErrUnfit) {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return err
}

// makeBucket makes the bucket. lookBucket has made sure whose credentials these are.
func (s *s3Service) makeBucket(ctx context.Context) error {
	in := &s3.CreateBucketInput{Bucket: &s.Name}
	if s.Amazon {
		in.ObjectOwnership = types.ObjectOwnershipBucketOwnerEnforced
		if s.Region != "us-east-1" { // which is the default, and may not be named
			in.CreateBucketConfiguration = &types.CreateBucketConfiguration{LocationConstraint: types.BucketLocationConstraint(s.Region)}
		}
	}
	_, err := s.Client.CreateBucket(ctx, in)
	if err == nil {
		return nil
	}
	code, why := s.Failure(err)
	switch code {
	case "BucketAlreadyOwnedByYou": // another run made it meanwhile
		return nil
	case "BucketAlreadyExists":
		return fmt.Errorf("%s: %w: the name is taken: %w", s.opened, ErrForeign, why)
	case "IllegalLocationConstraintException", "InvalidLocationConstraint", "InvalidToken":
		return fmt.Errorf("make %s: %w (if %s is a region that must be enabled first: aws account enable-region --region-name %[3]s)", s.opened, why, s.Region)
	}
	return fmt.Errorf("make %s: %w", s.opened, why)
}

// checkAccount makes sure that the credentials are those of the owner that the config names.
func (s *s3Service) checkAccount(ctx context.Context) error {
	if s.Owner == nil {
		return nil
	}
	account := ""
	if s.Amazon {
		var err error
		if account, err = s.Account(ctx); err != nil {
			return fmt.Errorf("find out whose credentials these are: %w", err)
		}
	} else if out, err := s.Client.ListBuckets(ctx, &s3.ListBucketsInput{}); err == nil && out.Owner != nil {
		account = aws.ToString(out.Owner.ID) // not every service has the right, or owners
	}
	if account != "" && account != *s.Owner {
		return fmt.Errorf("%s: %w: these credentials are those of account %s, and the config names the owner %s", s.opened, ErrForeign, account, *s.Owner)
	}
	return nil
}

func (s *s3Service) lookOwnership(ctx context.Context) (Finding, error) {
	out, err := s.Client.GetBucketOwnershipControls(ctx, &s3.GetBucketOwnershipControlsInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner})
	if err != nil && !s.absent(err) {
		return Finding{}, err
	}
	have := "none: ACLs have effect"
	if err == nil && out.OwnershipControls != nil && len(out.OwnershipControls.Rules) > 0 {
		have = string(out.OwnershipControls.Rules[0].ObjectOwnership)
	}
	return Finding{State: goodIf(have == string(types.ObjectOwnershipBucketOwnerEnforced)), Have: have}, nil
}

func goodIf(ok bool) State {
	if ok {
		return Good
	}
	return Missing
}

func (s *s3Service) setOwnership(ctx context.Context) error {
	_, err := s.Client.PutBucketOwnershipControls(ctx, &s3.PutBucketOwnershipControlsInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner,
		OwnershipControls: &types.OwnershipControls{Rules: []types.OwnershipControlsRule{{ObjectOwnership: types.ObjectOwnershipBucketOwnerEnforced}}}})
	return err
}

func (s *s3Service) lookBlock(ctx context.Context) (Finding, error) {
	out, err := s.Client.GetPublicAccessBlock(ctx, &s3.GetPublicAccessBlockInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner})
	if err != nil && !s.absent(err) {
		return Finding{}, err
	}
	var is types.PublicAccessBlockConfiguration
	if err == nil && out.PublicAccessBlockConfiguration != nil {
		is = *out.PublicAccessBlockConfiguration
	}
	var on, opens []string
	for _, flag := range []struct {
		name string
		is   *bool
		open bool
	}{{"BlockPublicAcls", is.BlockPublicAcls, false}, {"IgnorePublicAcls", is.IgnorePublicAcls, false},
		{"BlockPublicPolicy", is.BlockPublicPolicy, true}, {"RestrictPublicBuckets", is.RestrictPublicBuckets, true}} {
		if aws.ToBool(flag.is) {
			on = append(on, flag.name)
			if flag.open {
				opens = append(opens, flag.name)
			}
		}
	}
	f := Finding{Have: "nothing blocked", State: goodIf(slices.Equal(on, []string{"BlockPublicAcls", "IgnorePublicAcls"}))}
	if len(on) > 0 {
		f.Have = strings.Join(on, " ")
	}
	if policy, err := s.policy(ctx); err == nil && policy.find(sidCloudFront) != nil && len(on) >= 2+len(opens) {
		f.State = Good // only CloudFront reads
		return f, nil
	}
	if len(opens) > 0 {
		f.Weaker = strings.Join(opens, " and ") + " is switched off for this bucket: its policy may let everybody read"
	}
	return f, nil
}

func (s *s3Service) setBlock(ctx context.Context) error {
	_, err := s.Client.PutPublicAccessBlock(ctx, &s3.PutPublicAccessBlockInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner,
		PublicAccessBlockConfiguration: &types.PublicAccessBlockConfiguration{
			BlockPublicAcls: aws.Bool(true), IgnorePublicAcls: aws.Bool(true),
			BlockPublicPolicy: aws.Bool(false), RestrictPublicBuckets: aws.Bool(false),
		}})
	return err
}
