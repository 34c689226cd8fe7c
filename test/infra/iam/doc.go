// Package iam decides requests by policies of AWS as IAM does, for the policies in deploy/terraform. IAM cannot be had here, so
// this is a model of the part that those policies use. It knows:
//
//   - Allow and Deny, Principal, Action and Resource with * and ?, Condition with the operators in [operators];
//   - the condition keys in [keys], and sub, aud and oaud of a token;
//   - that a Deny wins, and that within an account the role or the bucket's policy may allow.
//
// Everything else is an error, so that a policy is never judged by a rule that the model lacks: NotAction, NotResource,
// NotPrincipal, policy variables, other operators and keys. It does not know permissions boundaries, policies of sessions and
// organisations, Block Public Access, or accounts other than one.
package iam
