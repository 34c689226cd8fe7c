package provision

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"ociproxy/internal/store"
)

func (s *s3Service) lookEncryption(ctx context.Context) (Finding, error) {
	out, err := s.Client.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner})
	if err != nil && !s.absent(err) {
		return Finding{}, err
	}
	if err == nil && out.ServerSideEncryptionConfiguration != nil {
		for _, rule := range out.ServerSideEncryptionConfiguration.Rules {
			if rule.ApplyServerSideEncryptionByDefault == nil {
				continue
			}
			switch by := rule.ApplyServerSideEncryptionByDefault; by.SSEAlgorithm {
			case types.ServerSideEncryptionAes256:
				return Finding{State: Good, Have: "SSE-S3 (AES256)"}, nil
			default:
				return Finding{State: Blocked, Have: strings.TrimSpace(string(by.SSEAlgorithm) + " " + aws.ToString(by.KMSMasterKeyID)),
					Detail: "somebody has chosen a KMS key: what it encrypts cannot be read without credentials",
					Remedy: "use another bucket, or let the owner of the bucket give the key up: aws s3api put-bucket-encryption --bucket " + s.Name +
						` --server-side-encryption-configuration '{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}'` +
						"; objects that the key has encrypted stay so: write them again"}, nil
			}
		}
	}
	if !s.Amazon { // SeaweedFS accepts SSE-S3 without having a key for it, and then refuses every write
		return Finding{State: Good, Have: "none: this service encrypts its disks as it is set up"}, nil
	}
	return Finding{State: Missing, Have: "none"}, nil
}

func (s *s3Service) setEncryption(ctx context.Context) error {
	_, err := s.Client.PutBucketEncryption(ctx, &s3.PutBucketEncryptionInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner,
		ServerSideEncryptionConfiguration: &types.ServerSideEncryptionConfiguration{Rules: []types.ServerSideEncryptionRule{{
			ApplyServerSideEncryptionByDefault: &types.ServerSideEncryptionByDefault{SSEAlgorithm: types.ServerSideEncryptionAes256},
		}}}})
	return err
}

func (s *s3Service) lookVersioning(ctx context.Context) (Finding, error) {
	out, err := s.Client.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner})
	if err != nil {
		return Finding{}, err
	}
	have := "off"
	if out.Status != "" {
		have = strings.ToLower(string(out.Status))
	}
	return Finding{State: goodIf(out.Status == types.BucketVersioningStatusEnabled), Have: have}, nil
}

func (s *s3Service) setVersioning(ctx context.Context) error {
	_, err := s.Client.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner,
		VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled}})
	return err
}

// noncurrentDays is how long what was overwritten or deleted can be restored. unfinishedDays is how long the parts of an
// upload that never ended are kept; the mirror resumes one for 24 hours. They are the defaults of the Terraform modules.
// If an operator has chosen another number of days, it stays.
const (
	noncurrentDays = 7
	unfinishedDays = 3
)

// rules are our rules of the lifecycle.
func (s *s3Service) rules() []types.LifecycleRule {
	return []types.LifecycleRule{
		{ID: aws.String("old-versions"), Status: types.ExpirationStatusEnabled,
			Filter:                      &types.LifecycleRuleFilter{Prefix: &s.at.Prefix},
			NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(noncurrentDays)},
			Expiration:                  &types.LifecycleExpiration{ExpiredObjectDeleteMarker: aws.Bool(true)}},
		{ID: aws.String("unfinished-uploads"), Status: types.ExpirationStatusEnabled,
			Filter:                         &types.LifecycleRuleFilter{Prefix: &s.at.Prefix},
			AbortIncompleteMultipartUpload: &types.AbortIncompleteMultipartUpload{DaysAfterInitiation: aws.Int32(unfinishedDays)}},
	}
}

// ruleItem is the setting that consists of one rule of the lifecycle.
func (s *s3Service) ruleItem(rule types.LifecycleRule) item {
	name, why := "lifecycle/noncurrentVersions", "versions that nobody restored cost money"
	if rule.AbortIncompleteMultipartUpload != nil {
		name, why = "lifecycle/unfinishedUploads", "parts of an upload that never ended cost money, and no list shows them"
	}
	return item{Setting{name, ruleText(rule), why}, mayLack,
		func(ctx context.Context) (Finding, error) {
			now, err := s.lifecycle(ctx)
			if err != nil {
				return Finding{}, err
			}
			f := Finding{State: Missing, Have: "none"}
			for _, r := range now.Rules {
				if aws.ToString(r.ID) == *rule.ID {
					f.Have, f.State = ruleText(r), goodIf(anyDays(ruleText(r)) == anyDays(ruleText(rule)))
				} else if !slices.ContainsFunc(s.rules(), func(o types.LifecycleRule) bool { return *o.ID == aws.ToString(r.ID) }) {
					f.Kept = append(f.Kept, s.otherRule(r))
				}
			}
			return f, nil
		},
		func(ctx context.Context) error { return s.setRule(ctx, rule) }}
}

var days = regexp.MustCompile(`[0-9]+ days`)

// anyDays returns the description of a rule without its numbers of days.
func anyDays(text string) string { return days.ReplaceAllString(text, "days") }

// ruleText describes a rule.
func ruleText(r types.LifecycleRule) string {
	var does []string
	if e := r.Expiration; e != nil && e.Days != nil {
		does = append(does, fmt.Sprintf("objects expire after %d days", *e.Days))
	} else if e != nil && e.Date != nil {
		does = append(does, "objects expire on "+e.Date.Format("2006-01-02"))
	}
	if n := r.NoncurrentVersionExpiration; n != nil {
		does = append(does, fmt.Sprintf("old versions expire after %d days", aws.ToInt32(n.NoncurrentDays)))
	}
	if e := r.Expiration; e != nil && aws.ToBool(e.ExpiredObjectDeleteMarker) {
		does = append(does, "delete markers without versions go")
	}
	if a := r.AbortIncompleteMultipartUpload; a != nil {
		does = append(does, fmt.Sprintf("unfinished uploads end after %d days", aws.ToInt32(a.DaysAfterInitiation)))
	}
	for _, t := range r.Transitions {
		does = append(does, fmt.Sprintf("objects move to %s after %d days", t.StorageClass, aws.ToInt32(t.Days)))
	}
	if len(does) == 0 {
		does = []string{"something else"}
	}
	text := strings.Join(does, ", ")
	if prefix := rulePrefix(r); prefix != "" {
		text += ", below " + prefix
	}
	if r.Status != types.ExpirationStatusEnabled {
		text += " (disabled)"
	}
	return text
}

func rulePrefix(r types.LifecycleRule) string {
	switch {
	case r.Filter == nil:
		return aws.ToString(r.Prefix) //nolint:staticcheck // old rules have it
	case r.Filter.And != nil:
		return aws.ToString(r.Filter.And.Prefix)
	}
	return aws.ToString(r.Filter.Prefix)
}

// otherRule describes a rule of an operator, and warns if it removes or archives what clients need.
func (s *s3Service) otherRule(r types.LifecycleRule) string {
	text := "rule " + aws.ToString(r.ID) + ": " + ruleText(r)
	harms := r.Expiration != nil && (r.Expiration.Days != nil || r.Expiration.Date != nil) || len(r.Transitions) > 0
	blobs, prefix := s.at.Prefix+store.BlobPrefix, rulePrefix(r)
	if harms && r.Status == types.ExpirationStatusEnabled && (strings.HasPrefix(blobs, prefix) || strings.HasPrefix(prefix, blobs)) {
		text += " (careful: this concerns blobs that the inventory lists)"
	}
	return text
}

func (s *s3Service) lifecycle(ctx context.Context) (*s3.GetBucketLifecycleConfigurationOutput, error) {
	out, err := s.Client.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner})
	if err != nil && s.absent(err) {
		return &s3.GetBucketLifecycleConfigurationOutput{}, nil
	}
	return out, err
}

// setRule puts one rule in place of the one with the same id. All other rules stay. The service has no request for one
// rule.
func (s *s3Service) setRule(ctx context.Context, rule types.LifecycleRule) error {
	now, err := s.lifecycle(ctx)
	if err != nil {
		return err
	}
	rules := slices.DeleteFunc(now.Rules, func(r types.LifecycleRule) bool { return aws.ToString(r.ID) == *rule.ID })
	_, err = s.Client.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner,
		TransitionDefaultMinimumObjectSize: now.TransitionDefaultMinimumObjectSize,
		LifecycleConfiguration:             &types.BucketLifecycleConfiguration{Rules: append(rules, rule)}})
	return err
}

func (s *s3Service) policy(ctx context.Context) (*policyDocument, error) {
	out, err := s.Client.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner})
	if err != nil && s.absent(err) {
		return parsePolicy("")
	}
	if err != nil {
		return nil, err
	}
	return parsePolicy(aws.ToString(out.Policy))
}

func (s *s3Service) lookPolicy(ctx context.Context, sid string) (Finding, error) {
	if sid == sidTLS && strings.HasPrefix(s.at.Endpoint, "http://") {
		return Finding{State: Unsupported, Have: "none", Detail: "the endpoint is http://: the statement would lock its owner out",
			Remedy: "use an https:// endpoint"}, nil
	}
	now, err := s.policy(ctx)
	if err != nil {
		return Finding{}, err
	}
	f := Finding{State: Missing, Have: "none"}
	if sid == sidRead { // the others show them only once
		f.Kept = now.others()
	}
	there := now.find(sid)
	if sid == sidRead && there == nil && now.find(sidCloudFront) != nil {
		f.State, f.Have = Good, "only CloudFront reads, by the statement "+sidCloudFront
		return f, nil
	}
	if there == nil {
		return f, nil
	}
	f.State = goodIf(asWanted(s.at, there))
	if f.State != Good {
		f.Have, f.Weaker = "another statement of this name", "it is replaced, and may forbid more: "+string(there)
		return f, nil
	}
	f.Have = "as wanted"
	if _, except := split(there); len(except) > 0 {
		f.Kept = append(f.Kept, "does not concern "+strings.Join(except, " "))
	}
	return f, nil
}

// strangers is the name of the setting that no policy permits everybody more than to read.
const strangers = "policy/strangers"

// lookStrangers looks for statements that let everybody do more than read. An operator wrote them, so they stay.
func (s *s3Service) lookStrangers(ctx context.Context) (Finding, error) {
	now, err := s.policy(ctx)
	if err != nil {
		if code, _ := s.Failure(err); code == "NoSuchBucket" { // it is about to be made
			return Finding{State: Good}, nil
		}
		return Finding{}, err
	}
	if open := now.open(); len(open) > 0 {
		return Finding{State: Blocked, Have: "more", Detail: "the bucket's policy permits more: " + strings.Join(open, "; "),
			Remedy: "take these statements out of the policy: aws s3api get-bucket-policy --bucket " + s.Name + ", then put-bucket-policy"}, nil
	}
	return Finding{State: Good}, nil
}

// setPolicy puts our statements. If a service does not understand the policy, its statements are put one by one, so
// that it has as many of them as it understands.
func (s *s3Service) setPolicy(ctx context.Context, sid string) error {
	now, err := s.policy(ctx)
	if err != nil {
		return err
	}
	all := sids
	if strings.HasPrefix(s.at.Endpoint, "http://") {
		all = []string{sidRead, sidWrite}
	}
	if now.find(sidCloudFront) != nil {
		all = slices.DeleteFunc(slices.Clone(all), func(sid string) bool { return sid == sidRead })
	}
	err = s.putPolicy(ctx, now.with(s.at, all))
	if err == nil || s.Amazon || !answered(err) {
		return err
	}
	return s.putPolicy(ctx, now.with(s.at, []string{sid}))
}

func (s *s3Service) putPolicy(ctx context.Context, doc *policyDocument) error {
	text := doc.text()
	_, err := s.Client.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner, Policy: &text})
	return err
}

// logPrefix is the prefix of the logs of this bucket in the bucket for logs.
func (s *s3Service) logPrefix() string { return s.Name + "/" }

func (s *s3Service) lookLogging(ctx context.Context) (Finding, error) {
	out, err := s.Client.GetBucketLogging(ctx, &s3.GetBucketLoggingInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner})
	if err != nil {
		return Finding{}, err
	}
	if out.LoggingEnabled == nil {
		return Finding{State: Missing, Have: "none"}, nil
	}
	to := aws.ToString(out.LoggingEnabled.TargetBucket) + "/" + aws.ToString(out.LoggingEnabled.TargetPrefix)
	f := Finding{State: goodIf(to == s.logs+"/"+s.logPrefix()), Have: "access logs go to " + to}
	if f.State != Good {
		f.Weaker = "logs go no longer to " + to
	}
	return f, nil
}

func (s *s3Service) setLogging(ctx context.Context) error {
	_, err := s.Client.PutBucketLogging(ctx, &s3.PutBucketLoggingInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner,
		BucketLoggingStatus: &types.BucketLoggingStatus{LoggingEnabled: &types.LoggingEnabled{TargetBucket: &s.logs, TargetPrefix: aws.String(s.logPrefix()),
			// Keys have the date, so a query reads the days that it asks for.
			TargetObjectKeyFormat: &types.TargetObjectKeyFormat{PartitionedPrefix: &types.PartitionedPrefix{PartitionDateSource: types.PartitionDateSourceEventTime}},
		}}})
	return err
}

// tag is the tag that names the store of a bucket.
const tag = "oci-proxy-store"

func (s *s3Service) tags(ctx context.Context) ([]types.Tag, error) {
	out, err := s.Client.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner})
	if err != nil && s.absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return out.TagSet, nil
}

func (s *s3Service) lookTag(ctx context.Context) (Finding, error) {
	tags, err := s.tags(ctx)
	if err != nil {
		return Finding{}, err
	}
	f := Finding{State: Missing, Have: "none"}
	for _, t := range tags {
		if aws.ToString(t.Key) == tag {
			f.Have, f.State = aws.ToString(t.Value), goodIf(aws.ToString(t.Value) == s.store)
		} else {
			f.Kept = append(f.Kept, aws.ToString(t.Key)+"="+aws.ToString(t.Value))
		}
	}
	return f, nil
}

// setTag puts our tag. The others stay; the service has no request for one tag.
func (s *s3Service) setTag(ctx context.Context) error {
	tags, err := s.tags(ctx)
	if err != nil {
		return err
	}
	tags = slices.DeleteFunc(tags, func(t types.Tag) bool { return aws.ToString(t.Key) == tag })
	_, err = s.Client.PutBucketTagging(ctx, &s3.PutBucketTaggingInput{Bucket: &s.Name, ExpectedBucketOwner: s.Owner,
		Tagging: &types.Tagging{TagSet: append(tags, types.Tag{Key: aws.String(tag), Value: &s.store})}})
	return err
}
