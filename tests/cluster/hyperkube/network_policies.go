package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// cluster is what network policies speak of.
type cluster struct {
	policies   []*networking.NetworkPolicy
	pods       []*core.Pod
	namespaces map[string]labels.Set
}

// ruleset is the nftables table that enforces the policies on the pods of this node, to be loaded as a whole.
//
// A pod that a policy selects has a chain for the direction of the policy, in which what is allowed returns and the rest
// is dropped. Traffic to pods is seen when it is forwarded; traffic from pods also when it is for the node itself, where
// the DNS and the API server are. What the node sends to pods, such as probes, is always allowed.
func (c *cluster) ruleset() string {
	var chains, ingress, egress strings.Builder
	for _, pod := range c.pods {
		if pod.Spec.HostNetwork {
			continue
		}
		for _, direction := range []networking.PolicyType{networking.PolicyTypeIngress, networking.PolicyTypeEgress} {
			jumps := &ingress
			if direction == networking.PolicyTypeEgress {
				jumps = &egress
			}
			policies := c.policiesOf(pod, direction)
			if len(policies) == 0 {
				continue
			}
			chain := strings.ToLower(string(direction)) + "-" + strings.ReplaceAll(pod.Status.PodIP, ".", "-")
			fmt.Fprintf(jumps, "%s : jump %s, ", pod.Status.PodIP, chain)
			fmt.Fprintf(&chains, "  chain %s {\n", chain)
			for _, policy := range policies {
				for _, rule := range c.allowed(policy, pod, direction) {
					fmt.Fprintf(&chains, "    %s return\n", rule)
				}
			}
			chains.WriteString("    drop\n  }\n")
		}
	}
	dispatch := func(field string, jumps *strings.Builder) string {
		if jumps.Len() == 0 {
			return ""
		}
		return fmt.Sprintf("    ip %s vmap { %s }\n", field, strings.TrimSuffix(jumps.String(), ", "))
	}
	const established = "    ct state established,related accept\n"
	return "table inet network-policies\ndelete table inet network-policies\ntable inet network-policies {\n" + chains.String() +
		"  chain forward {\n    type filter hook forward priority filter\n" + established +
		dispatch("saddr", &egress) + dispatch("daddr", &ingress) + "  }\n" +
		"  chain input {\n    type filter hook input priority filter\n" + established + dispatch("saddr", &egress) + "  }\n}\n"
}

// policiesOf gives the policies that select a pod for a direction, and so allow nothing but what they list.
func (c *cluster) policiesOf(pod *core.Pod, direction networking.PolicyType) []*networking.NetworkPolicy {
	return slices.DeleteFunc(slices.Clone(c.policies), func(policy *networking.NetworkPolicy) bool {
		return policy.Namespace != pod.Namespace || !slices.Contains(policy.Spec.PolicyTypes, direction) ||
			!matches(&policy.Spec.PodSelector, pod.Labels)
	})
}

// allowed gives the nftables matches of what a policy allows to (ingress) or from (egress) a pod.
func (c *cluster) allowed(policy *networking.NetworkPolicy, pod *core.Pod, direction networking.PolicyType) []string {
	var matches []string
	if direction == networking.PolicyTypeIngress {
		for _, rule := range policy.Spec.Ingress {
			for _, peer := range c.peers(policy.Namespace, rule.From, "saddr") {
				matches = append(matches, combine(peer.match, rule.Ports, pod)...)
			}
		}
		return matches
	}
	for _, rule := range policy.Spec.Egress {
		for _, peer := range c.peers(policy.Namespace, rule.To, "daddr") {
			matches = append(matches, combine(peer.match, rule.Ports, peer.pod)...)
		}
	}
	return matches
}

// peer is who a rule speaks of: a pod, or, without one, addresses.
type peer struct {
	match string
	pod   *core.Pod
}

func (c *cluster) peers(namespace string, of []networking.NetworkPolicyPeer, field string) []peer {
	if len(of) == 0 {
		return []peer{{}} // everybody
	}
	var peers []peer
	for _, p := range of {
		if p.IPBlock != nil {
			match := fmt.Sprintf("ip %s %s", field, p.IPBlock.CIDR)
			if len(p.IPBlock.Except) > 0 {
				match += fmt.Sprintf(" ip %s != { %s }", field, strings.Join(p.IPBlock.Except, ", "))
			}
			peers = append(peers, peer{match: match})
			continue
		}
		for _, pod := range c.pods {
			inNamespace := pod.Namespace == namespace
			if p.NamespaceSelector != nil {
				inNamespace = matches(p.NamespaceSelector, c.namespaces[pod.Namespace])
			}
			if inNamespace && (p.PodSelector == nil || matches(p.PodSelector, pod.Labels)) {
				peers = append(peers, peer{fmt.Sprintf("ip %s %s", field, pod.Status.PodIP), pod})
			}
		}
	}
	return peers
}

// combine gives a match for each port of a rule. Names of ports are those of the pod that traffic goes to, if it is one.
func combine(match string, ports []networking.NetworkPolicyPort, target *core.Pod) []string {
	if len(ports) == 0 {
		return []string{match}
	}
	var combined []string
	for _, port := range ports {
		protocol := core.ProtocolTCP
		if port.Protocol != nil {
			protocol = *port.Protocol
		}
		transport := strings.ToLower(string(protocol))
		switch {
		case port.Port == nil:
			combined = append(combined, fmt.Sprintf("%s meta l4proto %s", match, transport))
		case port.Port.StrVal != "":
			for _, number := range numbersOf(port.Port.StrVal, protocol, target) {
				combined = append(combined, fmt.Sprintf("%s %s dport %d", match, transport, number))
			}
		case port.EndPort != nil:
			combined = append(combined, fmt.Sprintf("%s %s dport %d-%d", match, transport, port.Port.IntVal, *port.EndPort))
		default:
			combined = append(combined, fmt.Sprintf("%s %s dport %d", match, transport, port.Port.IntVal))
		}
	}
	return combined
}

func numbersOf(name string, protocol core.Protocol, pod *core.Pod) []int32 {
	var numbers []int32
	if pod == nil {
		return nil
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name && port.Protocol == protocol {
				numbers = append(numbers, port.ContainerPort)
			}
		}
	}
	return numbers
}

func matches(selector *meta.LabelSelector, set labels.Set) bool {
	parsed, err := meta.LabelSelectorAsSelector(selector)
	return err == nil && parsed.Matches(set) // the API server has refused what cannot be parsed
}

func runNetworkPolicies() int {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig `file`")
	node := flag.String("node", "", "`name` of the node that this runs on: pods of others are not seen here")
	dns := flag.String("dns", "", "`address` of the DNS server, which is no pod here but is to be taken for the usual one")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	factory := informers.NewSharedInformerFactory(kubernetes.NewForConfigOrDie(config), 0)
	pods, namespaces := factory.Core().V1().Pods(), factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	changed := make(chan struct{}, 1)
	change := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { change() }, UpdateFunc: func(any, any) { change() }, DeleteFunc: func(any) { change() },
		})
	}
	factory.Start(context.Background().Done())
	factory.WaitForCacheSync(context.Background().Done())

	usualDNS := &core.Pod{
		ObjectMeta: meta.ObjectMeta{Namespace: meta.NamespaceSystem, Labels: map[string]string{"k8s-app": "kube-dns"}},
		Spec:       core.PodSpec{HostNetwork: true},
		Status:     core.PodStatus{PodIP: *dns},
	}
	loaded := ""
	for range changed {
		seen := cluster{pods: []*core.Pod{usualDNS}, namespaces: map[string]labels.Set{}}
		seen.policies, _ = policies.Lister().List(labels.Everything())
		all, _ := pods.Lister().List(labels.Everything())
		for _, pod := range all {
			ended := pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed
			if pod.Spec.NodeName == *node && pod.Status.PodIP != "" && !ended {
				seen.pods = append(seen.pods, pod)
			}
		}
		// in one order, so that the same rules are the same text
		slices.SortFunc(seen.pods, func(a, b *core.Pod) int { return strings.Compare(string(a.UID), string(b.UID)) })
		slices.SortFunc(seen.policies, func(a, b *networking.NetworkPolicy) int {
			return strings.Compare(string(a.UID), string(b.UID))
		})
		namespacesSeen, _ := namespaces.Lister().List(labels.Everything())
		for _, namespace := range namespacesSeen {
			seen.namespaces[namespace.Name] = namespace.Labels
		}
		if rules := seen.ruleset(); rules != loaded {
			if err := load(rules); err != nil {
				fmt.Fprintln(os.Stderr, err)
				time.AfterFunc(time.Second, change)
				continue
			}
			loaded = rules
		}
		time.Sleep(50 * time.Millisecond) // what changes together is looked at together
	}
	return 0
}

func load(rules string) error {
	nft := exec.Command("nft", "-f", "-")
	nft.Stdin = strings.NewReader(rules)
	if said, err := nft.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s\n%s", err, said, rules)
	}
	return nil
}
