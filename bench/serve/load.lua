-- Requests of many client networks for many digests, made beforehand so that wrk only sends them.
-- Arguments: kind (blob or tag), number of digests. Digest i is sha256:<i as 64 hexadecimal digits>.
local made, at = {}, 0

function init(args)
  local kind, digests = args[1], tonumber(args[2])
  math.randomseed(1)
  for i = 1, 8192 do
    local path
    if kind == "blob" then
      path = string.format("/v2/library/sample/blobs/sha256:%064x", math.random(0, digests - 1))
    else
      path = string.format("/v2/library/sample-%d/manifests/v1.2.%d", math.random(0, 99), math.random(0, 99))
    end
    local client = string.format("3.%d.%d.%d", math.random(0, 255), math.random(0, 255), math.random(1, 254))
    made[i] = wrk.format("GET", path, { ["X-Forwarded-For"] = client, ["Host"] = "registry.example.org" })
  end
end

function request()
  at = at % 8192 + 1
  return made[at]
end
