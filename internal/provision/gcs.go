package provision

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/iam/apiv1/iampb"
	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"ociproxy/internal/store"
)

// gcsService is a bucket of Google Cloud Storage.
type gcsService struct {
	opened       store.Bucket
	region       string // "" when the config does not say it
	project      string // that a new bucket belongs to
	name, prefix string
}

func (g *gcsService) kind() string { return "gcs" }

// bucket finds the credentials, so it may fail.
func (g *gcsService) bucket() (store.GCS, error) {
	of, _, err := store.AsGCS(g.opened)
	return of, err
}

func (g *gcsService) own() bool {
	of, err := g.bucket()
	return err != nil || of.Google
}

// reader is the role of everybody. It gives single objects, and no list.
const reader, everybody = "roles/storage.legacyObjectReader", "allUsers"

// keep is how long what was overwritten or deleted can be restored.
const keep = noncurrentDays * 24 * time.Hour

func (g *gcsService) items() []item {
	where := "exists"
	if g.region != "" {
		where += " in " + g.region
	}
	none := func(f Finding) func(context.Context) (Finding, error) {
		return func(context.Context) (Finding, error) { return f, nil }
	}
	return []item{
		{Setting{bucketItself, where, "the store writes to it"}, always, g.lookBucket, g.makeBucket},
		{Setting{"uniformAccess", "on: ACLs have no effect", "one policy says who may do what, and no object can differ"}, mayDrop,
			g.attr(func(a *storage.BucketAttrs) Finding {
				return Finding{State: goodIf(a.UniformBucketLevelAccess.Enabled), Have: onOff(a.UniformBucketLevelAccess.Enabled)}
			}),
			g.update(storage.BucketAttrsToUpdate{UniformBucketLevelAccess: &storage.UniformBucketLevelAccess{Enabled: true}})},
		{Setting{"publicAccessPrevention", "inherited", "enforced forbids what every client needs: to read without credentials"}, mayDrop,
			g.attr(func(a *storage.BucketAttrs) Finding {
				if a.PublicAccessPrevention == storage.PublicAccessPreventionEnforced {
					return Finding{State: Missing, Have: "enforced", Weaker: "everybody may be given rights over this bucket"}
				}
				return Finding{State: Good, Have: "inherited"}
			}),
			g.update(storage.BucketAttrsToUpdate{PublicAccessPrevention: storage.PublicAccessPreventionInherited})},
		{Setting{"policy/read", everybody + " has " + reader, "clients pull without credentials; they need no list"}, mayDrop, g.lookReaders, g.setReaders},
		{Setting{strangers, "nothing but to read objects by their names", "who lists or writes without credentials can read, fill or empty the bucket"}, mayDrop, g.lookStrangers, nil},
		{Setting{"restore", fmt.Sprintf("soft delete for %d days, or versions", noncurrentDays), "what is overwritten or deleted by mistake can be restored"}, mayDrop,
			g.attr(func(a *storage.BucketAttrs) Finding {
				soft := a.SoftDeletePolicy != nil && a.SoftDeletePolicy.RetentionDuration > 0
				f := Finding{State: goodIf(a.VersioningEnabled || soft), Have: "nothing is kept"}
				if soft {
					f.Have = fmt.Sprintf("soft delete for %d days", int(a.SoftDeletePolicy.RetentionDuration.Hours()/24))
				}
				if a.VersioningEnabled {
					f.Have = "versions"
				}
				return f
			}),
			g.update(storage.BucketAttrsToUpdate{SoftDeletePolicy: &storage.SoftDeletePolicy{RetentionDuration: keep}})},
		{Setting{"lifecycle/unfinishedUploads", fmt.Sprintf("multipart uploads end after %d days", noncurrentDays),
			"parts of an upload that never ended cost money, and no list shows them"}, mayDrop, g.lookLifecycle, g.setLifecycle},
		{Setting{"onlyTLS", "requests without TLS are refused", "nobody can change bytes on the way"}, always,
			none(Finding{State: ByHand, Detail: "a bucket has no such setting; the config sends clients to https:// URLs only",
				Remedy: "for the whole project: gcloud resource-manager org-policies enable-enforce storage.secureHttpTransport --project " + orWord(g.project, "PROJECT")}), nil},
		{Setting{"blobsAreNeverReplaced", "a writer cannot replace or delete a blob", "a writer that is broken into cannot change what clients pull"}, always,
			none(Finding{State: ByHand, Detail: "a bucket has no such setting; the writer's role decides",
				Remedy: "give the writer roles/storage.objectCreator and roles/storage.legacyBucketReader, and more only below " + g.prefix + store.InventoryPrefix}), nil},
	}
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

func orWord(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

// attr looks at one attribute of the bucket.
func (g *gcsService) attr(find func(*storage.BucketAttrs) Finding) func(context.Context) (Finding, error) {
	return func(ctx context.Context) (Finding, error) {
		of, err := g.bucket()
		if err != nil {
			return Finding{}, err
		}
		a, err := of.Bucket.Attrs(ctx)
		if err != nil {
			return Finding{}, err
		}
		return find(a), nil
	}
}

// update changes attributes of the bucket. Those that it does not name stay.
func (g *gcsService) update(to storage.BucketAttrsToUpdate) func(context.Context) error {
	return func(ctx context.Context) error {
		of, err := g.bucket()
		if err == nil {
			_, err = of.Bucket.Update(ctx, to)
		}
		return err
	}
}

// explain implements [service].
func (g *gcsService) explain(it item, changing bool, err error) (State, string, string) {
	of, none := g.bucket()
	if none != nil {
		return Failed, none.Error(), ""
	}
	why := of.Failure(err)
	var answer *googleapi.Error
	code := 0
	if errors.As(err, &answer) {
		code = answer.Code
	}
	switch {
	case !of.Google && it.has != always && code != 0 && code != http.StatusTooManyRequests && code != http.StatusServiceUnavailable:
		return Unsupported, "this service does not have it: " + why.Error(), ""
	case changing && it.Name == "policy/read" && (code == http.StatusPreconditionFailed || code == http.StatusForbidden || code == http.StatusBadRequest):
		return Blocked, why.Error(), "look whether the organisation forbids it: gcloud resource-manager org-policies describe storage.publicAccessPrevention --effective --project " +
			orWord(g.project, "PROJECT") + ", and the same for iam.allowedPolicyMemberDomains; its administrator (roles/orgpolicy.policyAdmin) can exempt the project. " +
			"Without these, the credentials lack storage.buckets.setIamPolicy"
	case changing && it.Name == "publicAccessPrevention" && code == http.StatusPreconditionFailed:
		return Blocked, why.Error(), "the organisation enforces it: its administrator (roles/orgpolicy.policyAdmin) can exempt the project from storage.publicAccessPrevention"
	case errors.Is(why, store.ErrDenied) && changing:
		return Failed, why.Error(), "give these credentials roles/storage.admin for this bucket"
	case errors.Is(why, store.ErrDenied):
		return Unknown, why.Error(), "give these credentials storage.buckets.get and storage.buckets.getIamPolicy"
	}
	return Failed, why.Error(), ""
}

func (g *gcsService) lookBucket(ctx context.Context) (Finding, error) {
	of, err := g.bucket()
	if err != nil {
		return Finding{}, err
	}
	if _, err := of.Bucket.Attrs(ctx); errors.Is(err, storage.ErrBucketNotExist) {
		return Finding{State: Missing, Have: "does not exist"}, nil
	}
	if err := g.opened.Check(ctx, ""); err != nil {
		return Finding{}, foreign(err)
	}
	return Finding{State: Good, Have: "exists"}, nil
}

func (g *gcsService) makeBucket(ctx context.Context) error {
	of, err := g.bucket()
	if err != nil {
		return err
	}
	if of.Google && g.project == "" {
		return fmt.Errorf("%w: make %s: the project is not known: write its number as owner: of the store into the config, or set GOOGLE_CLOUD_PROJECT", ErrNoBucket, g.opened)
	}
	if of.Google && g.region == "" {
		return fmt.Errorf("%w: make %s: the place of the store names no region of Google", ErrNoBucket, g.opened)
	}
	err = of.Bucket.Create(ctx, g.project, &storage.BucketAttrs{
		Location:                 strings.ToUpper(g.region),
		UniformBucketLevelAccess: storage.UniformBucketLevelAccess{Enabled: true},
		PublicAccessPrevention:   storage.PublicAccessPreventionInherited,
		SoftDeletePolicy:         &storage.SoftDeletePolicy{RetentionDuration: keep},
	})
	var answer *googleapi.Error
	if errors.As(err, &answer) && answer.Code == http.StatusConflict {
		if _, err := g.lookBucket(ctx); err == nil { // another run made it meanwhile
			return nil
		}
		return fmt.Errorf("%s: %w: the name is taken: %w", g.opened, ErrForeign, of.Failure(err))
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", g.opened, of.Failure(err))
	}
	return nil
}

func (g *gcsService) lookReaders(ctx context.Context) (Finding, error) {
	of, err := g.bucket()
	if err != nil {
		return Finding{}, err
	}
	policy, err := of.Bucket.IAM().V3().Policy(ctx)
	if err != nil {
		return Finding{}, err
	}
	f := Finding{State: Missing, Have: "not public"}
	for _, b := range policy.Bindings {
		switch public := slices.Contains(b.Members, everybody) || slices.Contains(b.Members, "allAuthenticatedUsers"); {
		case b.Role == reader && slices.Contains(b.Members, everybody):
			f.State, f.Have = Good, "as wanted"
		case public:
			f.Kept = append(f.Kept, "everybody has "+b.Role+", which may let strangers list or write: take it away")
		default:
			f.Kept = append(f.Kept, b.Role+" for "+strings.Join(b.Members, " "))
		}
	}
	return f, nil
}

// lookStrangers looks for roles that let everybody do more than read. An operator gave them, so they stay.
func (g *gcsService) lookStrangers(ctx context.Context) (Finding, error) {
	of, err := g.bucket()
	if err != nil {
		return Finding{}, err
	}
	policy, err := of.Bucket.IAM().V3().Policy(ctx)
	if err != nil {
		var answer *googleapi.Error
		if errors.Is(err, storage.ErrBucketNotExist) || of.Google && errors.As(err, &answer) && answer.Code == http.StatusNotFound { // it is about to be made
			return Finding{State: Good}, nil
		}
		return Finding{}, err
	}
	for _, b := range policy.Bindings {
		for _, who := range []string{everybody, "allAuthenticatedUsers"} {
			if b.Role != reader && slices.Contains(b.Members, who) {
				return Finding{State: Blocked, Have: "more", Detail: who + " has " + b.Role + ", which may let strangers list or write",
					Remedy: fmt.Sprintf("gcloud storage buckets remove-iam-policy-binding gs://%s --member %s --role %s", g.name, who, b.Role)}, nil
			}
		}
	}
	return Finding{State: Good}, nil
}

func (g *gcsService) setReaders(ctx context.Context) error {
	of, err := g.bucket()
	if err != nil {
		return err
	}
	handle := of.Bucket.IAM().V3()
	policy, err := handle.Policy(ctx)
	if err != nil {
		return err
	}
	// The policy has an ETag, so a change that somebody else makes meanwhile is not lost.
	policy.Bindings = append(policy.Bindings, &iampb.Binding{Role: reader, Members: []string{everybody}})
	return handle.SetPolicy(ctx, policy)
}

func (g *gcsService) lookLifecycle(ctx context.Context) (Finding, error) {
	return g.attr(func(a *storage.BucketAttrs) Finding {
		f := Finding{State: Missing, Have: "none"}
		versions := false
		for _, r := range a.Lifecycle.Rules {
			switch {
			case r.Action.Type == storage.AbortIncompleteMPUAction && r.Condition.AgeInDays > 0:
				f.State, f.Have = Good, fmt.Sprintf("multipart uploads end after %d days", r.Condition.AgeInDays)
			case r.Action.Type == storage.DeleteAction && r.Condition.DaysSinceNoncurrentTime > 0:
				versions = true
				f.Kept = append(f.Kept, fmt.Sprintf("old versions expire after %d days", r.Condition.DaysSinceNoncurrentTime))
			default:
				f.Kept = append(f.Kept, fmt.Sprintf("%s %s after %d days (careful if this concerns blobs that the inventory lists)",
					r.Action.Type, r.Action.StorageClass, r.Condition.AgeInDays))
			}
		}
		if a.VersioningEnabled && !versions {
			f.Detail, f.Remedy = "versions are kept forever", "add a rule that deletes noncurrent versions after some days"
		}
		return f
	})(ctx)
}

// setLifecycle adds the rule. All other rules stay. The bucket must not have changed since they were read.
func (g *gcsService) setLifecycle(ctx context.Context) error {
	of, err := g.bucket()
	if err != nil {
		return err
	}
	a, err := of.Bucket.Attrs(ctx)
	if err != nil {
		return err
	}
	rules := append(slices.Clone(a.Lifecycle.Rules), storage.LifecycleRule{
		Action:    storage.LifecycleAction{Type: storage.AbortIncompleteMPUAction},
		Condition: storage.LifecycleCondition{AgeInDays: noncurrentDays},
	})
	on := of.Bucket
	if a.MetaGeneration > 0 {
		on = on.If(storage.BucketConditions{MetagenerationMatch: a.MetaGeneration})
	}
	_, err = on.Update(ctx, storage.BucketAttrsToUpdate{Lifecycle: &storage.Lifecycle{Rules: rules}})
	return err
}
