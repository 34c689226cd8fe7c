package kube

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"ociproxy/test/parts"
)

// Subnet has the addresses of pods, services those of Services.
const (
	Subnet   = "198.51.100.0/24"
	services = "10.0.0.0/16"
)

// Controllers starts kube-controller-manager with the controllers that make pods and look after them, and
// kube-scheduler. A namespace has its account from [Cluster.Namespace].
func (c *Cluster) Controllers(t testing.TB) {
	t.Helper()
	c.component(t, "kube-controller-manager", "--leader-elect=false", "--controllers="+strings.Join([]string{
		"deployment-controller", "replicaset-controller", "job-controller", "cronjob-controller", "endpointslice-controller",
		"disruption-controller", "garbage-collector-controller", "namespace-controller", "node-lifecycle-controller",
		"pod-garbage-collector-controller", "ttl-after-finished-controller",
	}, ","))
	c.component(t, "kube-scheduler", "--leader-elect=false")
}

// component starts a program of the control plane. It is ready when it serves.
func (c *Cluster) component(t testing.TB, name string, args ...string) {
	t.Helper()
	addr := parts.FreeAddr(t)
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	parts.Start(t, parts.Spec{
		Path: parts.Find(t, "kubernetes/"+name), Quiet: true, Abrupt: true, Ready: parts.Dial("tcp", addr),
		Args: append([]string{"--kubeconfig=" + c.Kubeconfig, "--bind-address=" + host, "--secure-port=" + port,
			"--cert-dir=" + t.TempDir()}, args...),
	})
}

// Node starts a kubelet, which runs its pods with the container runtime at the socket, and a kube-proxy, which leads the
// addresses of Services to pods. It waits until the node is ready. Call it inside of [parts.Apart].
func (c *Cluster) Node(t testing.TB, socket string) *parts.Process {
	t.Helper()
	dir := parts.ShortDir(t)
	kernel(t, dir)
	// kube-proxy replaces the address of a Service only after the kernel has found a route to it.
	parts.Run(t, parts.Ready, parts.Find(t, "ip"), "route", "add", services, "dev", "lo", "src", parts.Host())
	config := filepath.Join(dir, "kubelet.yaml")
	write(t, config, fmt.Appendf(nil, `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: %[1]s
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
cgroupDriver: cgroupfs
cgroupRoot: %[2]s
failCgroupV1: false # many machines that run tests still have version 1
failSwapOn: false
protectKernelDefaults: true
containerRuntimeEndpoint: unix://%[3]s
clusterDNS: [%[1]s]
clusterDomain: cluster.local
resolvConf: ""
podLogsDir: %[4]s/logs
volumePluginDir: %[4]s/plugins
oomScoreAdj: 0 # root may not change it in many containers
syncFrequency: 2s # by default a changed ConfigMap reaches a pod within a minute or two
evictionHard: {memory.available: "0%%", nodefs.available: "0%%", nodefs.inodesFree: "0%%", imagefs.available: "0%%"}
`, parts.Host(), parts.Cgroup(), socket, dir))
	kubelet := parts.Start(t, parts.Spec{
		Path: parts.Find(t, "kubernetes/kubelet"), Quiet: true, Abrupt: true,
		Args: []string{"--config=" + config, "--kubeconfig=" + c.Kubeconfig, "--root-dir=" + filepath.Join(dir, "kubelet"),
			"--cert-dir=" + filepath.Join(dir, "certs"), "--hostname-override=" + parts.Node, "--node-ip=" + parts.Host()},
		Ready: c.nodeReady,
	})
	proxy := filepath.Join(dir, "proxy.yaml")
	// No connection tracking limits: they are the machine's.
	write(t, proxy, fmt.Appendf(nil, `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: %q}
hostnameOverride: %q
clusterCIDR: %q
bindAddress: %q
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`, c.Kubeconfig, parts.Node, Subnet, parts.Host()))
	parts.Start(t, parts.Spec{Path: parts.Find(t, "kubernetes/kube-proxy"), Args: []string{"--config=" + proxy}, Quiet: true, Abrupt: true,
		Ready: parts.HTTP("http://"+net.JoinHostPort(parts.Host(), "10256")+"/healthz", 200)})
	return kubelet
}

// kernel hides the settings of the kernel that a kubelet changes, which would change the machine. In their place are
// files with the values that it wants.
func kernel(t testing.TB, dir string) {
	t.Helper()
	for setting, value := range map[string]string{
		"vm/overcommit_memory": "1", "vm/panic_on_oom": "0", "kernel/panic": "10", "kernel/panic_on_oops": "1",
		"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
	} {
		file := filepath.Join(dir, filepath.Base(setting))
		write(t, file, []byte(value+"\n"))
		parts.Run(t, parts.Ready, parts.Find(t, "mount"), "--bind", file, filepath.Join("/proc/sys", setting))
	}
}

// nodeReady reports whether the node takes pods.
func (c *Cluster) nodeReady() error {
	node, err := c.Do("GET", "/api/v1/nodes/"+parts.Node, nil)
	if err != nil {
		return err
	}
	status, _ := node["status"].(map[string]any)
	for _, condition := range items(status, "conditions") {
		if condition["type"] == "Ready" && condition["status"] == "True" {
			return nil
		}
	}
	return fmt.Errorf("conditions: %v", status["conditions"])
}
