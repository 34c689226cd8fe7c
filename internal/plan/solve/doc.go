// Package solve finds the best set of sites for clients that choose among the open sites by an order of their own, and
// proves that no set is better. Operations research calls this the simple plant location problem with preference
// orderings; when the orders agree with the objective, it is uncapacitated facility location.
//
// # Method
//
// It is a branch and bound over sites. A node says of each site that it is open, closed or free.
//
//   - Before the search, options that no client can come to are removed: those after one that is always open. Clients
//     with the same order become one, because they go to the same site in every set.
//   - The bound of a node is a Lagrangian relaxation. Client i gets a price v for being served, site s then costs
//     rho = USD − Σ max(0, v − cost), and the cheapest choice of sites is exact for rules on numbers of sites that have
//     no site in common. The other rules are kept by propagation. The volume algorithm finds good prices; they pass
//     from a node to those below it, as Erlenkotter's dual ascent does it for the case without rules.
//   - Where the order of a client and its costs disagree, multipliers of the closest-assignment constraints ("if s is
//     open, an option not after s serves the client") move cost from the options of a client to the sites.
//   - A budget has a multiplier. A second relaxation bounds the money alone.
//   - Sites whose rho is more than the distance between bound and best set are fixed (reduced costs). The next site to
//     branch on is the one that has moved bounds most so far (reliability branching).
//   - The best set comes from opening, closing and swapping sites, with the exact effects on the clients. The sets that
//     the relaxations suggest are its starts.
//   - A set counts only with its exact value: the clients' own choices, the exact bill when there is one. A node without
//     free sites is a set.
//
// Two sets are equal when their objectives differ by less than 1e-10 of them; then fewer sites win, and then those
// that come first in the problem, among the sets that the search saw.
//
// # Sources
//
// D. Erlenkotter, A dual-based procedure for uncapacitated facility location, Operations Research 26 (1978).
// M. Körkel, On the exact solution of large-scale simple plant location problems, European Journal of Operational
// Research 39 (1989). P. Hansen, Y. Kochetov, N. Mladenović, Lower bounds for the uncapacitated facility location
// problem with user preferences, GERAD G-2004-24. L. Cánovas, S. García, M. Labbé, A. Marín, A strengthened formulation
// for the simple plant location problem with order, Operations Research Letters 35 (2007). F. Barahona, R. Anbil, The
// volume algorithm, Mathematical Programming 87 (2000). M. Resende, R. Werneck, A fast swap-based local search procedure
// for location problems, Annals of Operations Research 150 (2007). T. Achterberg, T. Koch, A. Martin, Branching rules
// revisited, Operations Research Letters 33 (2005). Y. Aneja, K. Nair, Bicriteria transportation problem, Management
// Science 25 (1979): the frontier.
//
// The package must not know clouds, prices or requests, and imports no other package of this project.
package solve
