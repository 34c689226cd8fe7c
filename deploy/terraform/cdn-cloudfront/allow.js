// Lets only GET and HEAD of blobs and of the inventory through to the bucket.
// These are the paths of oci-proxy routes --for store.
var blob = /^\/containers\/images\/(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;
var inventory = /^\/inventory\/(head[.]json|seg\/[0-9a-f]{64})$/;

function refuse(code, text) {
  return {
    statusCode: code,
    statusDescription: text,
    headers: { 'cache-control': { value: 'no-store' } },
  };
}

function handler(event) {
  var request = event.request;
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return refuse(405, 'Method Not Allowed');
  }
  // Some clients escape the colon of a digest. Both spellings must share one copy in the cache.
  var uri = request.uri.replace(/%3a/gi, ':');
  if (!(blob.test(uri) || inventory.test(uri))) {
    return refuse(403, 'Forbidden');
  }
  request.uri = uri;
  request.querystring = {};
  return request;
}
