package provision

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"ociproxy/internal/store"
)

// azureService is a container of an Azure storage account. What belongs to the account is set by Azure's resource
// manager, for which these credentials have no rights: it is named with its command.
type azureService struct {
	store.Azure
	opened store.Bucket
}

func (a *azureService) kind() string { return "azure" }

func (a *azureService) own() bool { return a.Microsoft }

func (a *azureService) items() []item {
	byHand := func(name, want, why, remedy string) item {
		return item{Setting{name, want, why}, always, func(context.Context) (Finding, error) {
			return Finding{State: ByHand, Detail: "the account has it, and the blob service does not show it", Remedy: remedy}, nil
		}, nil}
	}
	update := "az storage account update --name " + a.Account + " "
	return []item{
		{Setting{bucketItself, "exists in account " + a.Account, "the store writes to it"}, always, a.lookContainer, a.makeContainer},
		{Setting{"publicAccess", "level blob", "clients pull without credentials; level container would let them list"}, mayLack, a.lookLevel, a.setLevel},
		{Setting{"restore", fmt.Sprintf("soft delete for %d days", noncurrentDays), "what is deleted by mistake can be restored"}, mayLack, a.lookSoftDelete, nil},
		byHand("onlyTLS", "requests without TLS are refused, TLS 1.2 or newer", "nobody can change bytes on the way",
			update+"--https-only true --min-tls-version TLS1_2"),
		byHand("versioning", "versions are kept, and expire", "what is overwritten by mistake can be restored",
			"az storage account blob-service-properties update --account-name "+a.Account+" --enable-versioning true"),
		byHand("blobsAreNeverReplaced", "a writer cannot delete a blob", "a writer that is broken into cannot remove what clients pull",
			"give the writer a role of its own without .../blobs/delete, or a SAS with the permissions rcwl (no d)"),
	}
}

// explain implements [service].
func (a *azureService) explain(it item, changing bool, err error) (State, string, string) {
	why := a.Failure(err)
	switch {
	case bloberror.HasCode(err, publicAccessNotPermitted):
		return Blocked, why.Error(), "the account forbids public containers: az storage account update --name " + a.Account +
			" --allow-blob-public-access true; if a policy of the subscription forbids that (az policy assignment list), ask its administrator"
	case errors.Is(why, store.ErrDenied) && changing:
		return Failed, why.Error(), "use the account's key (AZURE_STORAGE_KEY): the access level of a container cannot be set with a role"
	case errors.Is(why, store.ErrDenied):
		return Unknown, why.Error(), "give these credentials the role Storage Blob Data Owner"
	case errors.Is(why, errors.ErrUnsupported), !a.own() && it.has != always && status(err) == http.StatusNotImplemented:
		return Unsupported, "this service does not have it: " + why.Error(), ""
	}
	return Failed, why.Error(), ""
}

// publicAccessNotPermitted is the code of a service whose account has allowBlobPublicAccess off.
// https://learn.microsoft.com/azure/storage/blobs/anonymous-read-access-prevent
const publicAccessNotPermitted bloberror.Code = "PublicAccessNotPermitted"

// status returns the status of an answer, 0 if there was none.
func status(err error) int {
	var answer *azcore.ResponseError
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

func (a *azureService) lookContainer(ctx context.Context) (Finding, error) {
	_, err := a.Container.GetProperties(ctx, nil)
	if bloberror.HasCode(err, bloberror.ContainerNotFound) {
		return Finding{State: Missing, Have: "does not exist"}, nil
	}
	if err == nil {
		err = a.opened.Check(ctx, "")
	}
	if err != nil {
		return Finding{}, foreign(a.Failure(err))
	}
	return Finding{State: Good, Have: "exists"}, nil
}

func (a *azureService) makeContainer(ctx context.Context) error {
	if err := a.opened.Check(ctx, ""); errors.Is(err, store.ErrUnfit) && !bloberror.HasCode(err, bloberror.ContainerNotFound) {
		return foreign(err) // another account
	}
	_, err := a.Container.Create(ctx, nil)
	if err == nil || bloberror.HasCode(err, bloberror.ContainerAlreadyExists) { // another run made it meanwhile
		return nil
	}
	return fmt.Errorf("make %s: %w", a.opened, a.Failure(err))
}

func (a *azureService) lookLevel(ctx context.Context) (Finding, error) {
	out, err := a.Container.GetAccessPolicy(ctx, nil)
	if err != nil {
		return Finding{}, err
	}
	f := Finding{State: Missing, Have: "private"}
	if out.BlobPublicAccess != nil {
		f.Have = "level " + string(*out.BlobPublicAccess)
		f.State = goodIf(*out.BlobPublicAccess == container.PublicAccessTypeBlob)
	}
	for _, p := range out.SignedIdentifiers {
		if p != nil && p.ID != nil {
			f.Kept = append(f.Kept, "stored access policy "+*p.ID)
		}
	}
	return f, nil
}

// setLevel sets the access level. The stored access policies stay; the service has no request for the level alone.
func (a *azureService) setLevel(ctx context.Context) error {
	now, err := a.Container.GetAccessPolicy(ctx, nil)
	if err != nil {
		return err
	}
	level := container.PublicAccessTypeBlob
	_, err = a.Container.SetAccessPolicy(ctx, &container.SetAccessPolicyOptions{Access: &level, ContainerACL: now.SignedIdentifiers})
	return err
}

func (a *azureService) lookSoftDelete(ctx context.Context) (Finding, error) {
	client, err := a.Service()
	if err != nil {
		return Finding{}, err
	}
	out, err := client.GetProperties(ctx, nil)
	if err != nil {
		return Finding{}, err
	}
	if keep := out.DeleteRetentionPolicy; keep != nil && keep.Enabled != nil && *keep.Enabled && keep.Days != nil {
		return Finding{State: Good, Have: fmt.Sprintf("soft delete for %d days", *keep.Days)}, nil
	}
	return Finding{State: ByHand, Have: "nothing is kept", Detail: "all containers of the account share this setting",
		Remedy: fmt.Sprintf("az storage account blob-service-properties update --account-name %s --enable-delete-retention true --delete-retention-days %d", a.Account, noncurrentDays)}, nil
}
