// Written by oci-proxy routes from the server's route table. Do not edit: run it again after an upgrade.
const allowed = new RegExp('^(?:/containers/images/sha256(?::|%3[Aa])[0-9a-f]{64}|/containers/images/sha512(?::|%3[Aa])[0-9a-f]{128}|/inventory/head[.]json|/inventory/seg/[0-9a-f]{64})$');

function handler(event) {
  const request = event.request;
  const read = request.method === 'GET' || request.method === 'HEAD';
  if (!read || !allowed.test(request.uri)) {
    return { statusCode: 404, statusDescription: 'Not Found', headers: { 'cache-control': { value: 'no-store' } } };
  }
  request.uri = request.uri.replace(/%3[Aa]([^/]*)$/, ':$1'); // one copy in the cache for both spellings
  request.querystring = {}; // to a bucket it could mean another object or another operation
  return request;
}
