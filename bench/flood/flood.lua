-- Made-up digests, each once. Arguments: networks (1: all from one client, 0: each from another network).
local one

function init(args)
  one = args[1] == "1"
  math.randomseed(os.time())
end

function request()
  local digest = string.format("%08x%08x%048x", math.random(0, 2147483647), math.random(0, 2147483647), math.random(0, 2147483647))
  local client = "3.0.0.9"
  if not one then
    client = string.format("3.%d.%d.%d", math.random(0, 255), math.random(0, 255), math.random(1, 254))
  end
  return wrk.format("GET", "/v2/a/blobs/sha256:" .. digest, { ["X-Forwarded-For"] = client, ["Host"] = "registry.example.org" })
end
