package iam

import (
	"slices"
	"strings"
)

// keys are the condition keys that requests have here, in lower case: IAM does not distinguish cases in them.
var keys = []string{
	"aws:principalarn", "aws:securetransport", "aws:sourceaccount", "aws:sourcearn", "s3:if-none-match", "s3:objectcreationoperation",
}

// claims are the claims of a token; their key is the issuer's host and path, a colon and the claim.
var claims = []string{":aud", ":oaud", ":sub"}

func known(key string) bool {
	key = strings.ToLower(key)
	return slices.Contains(keys, key) || slices.ContainsFunc(claims, func(c string) bool {
		return strings.HasSuffix(key, c) && strings.Contains(key, ".")
	})
}

// operators decide whether the value of a request fits one of the values of a policy. has is false if the request has no
// such key. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
var operators = map[string]func(value string, has bool, want Texts) bool{
	"ArnEquals":    func(value string, has bool, want Texts) bool { return has && anyLike(want, value) },
	"ArnNotEquals": func(value string, has bool, want Texts) bool { return !has || !anyLike(want, value) },
	"Bool": func(value string, has bool, want Texts) bool {
		return has && slices.ContainsFunc(want, func(w string) bool { return strings.EqualFold(w, value) })
	},
	"Null":         func(_ string, has bool, want Texts) bool { return slices.Contains(want, "true") != has },
	"StringEquals": func(value string, has bool, want Texts) bool { return has && slices.Contains(want, value) },
}

// holds reports whether all conditions of a statement hold.
func (s Statement) holds(request map[string]string) bool {
	for operator, tests := range s.Condition {
		for key, want := range tests {
			value, has := request[strings.ToLower(key)]
			if !operators[operator](value, has, want) {
				return false
			}
		}
	}
	return true
}

func anyLike(patterns Texts, text string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return like(p, text) })
}

// like reports whether a text fits a pattern with * for any text and ? for any character.
func like(pattern, text string) bool {
	for i := 0; i < len(pattern); i++ {
		switch {
		case pattern[i] == '*':
			for k := 0; k <= len(text); k++ {
				if like(pattern[i+1:], text[k:]) {
					return true
				}
			}
			return false
		case text == "" || pattern[i] != '?' && pattern[i] != text[0]:
			return false
		}
		text = text[1:]
	}
	return text == ""
}
